from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from torch import nn

from engines.errors import EngineError
from engines.precision import resolve
from engines.protocol import Artifact, Availability, CompiledModule
from engines.spec import EngineSpec


class AmpereBackend:
    """A device with bf16 and fp32."""

    name = "ampere"
    batch_sizes = (1,)

    def probe(self, device: str) -> Availability:
        return Availability(ok=True)

    def precisions(self, device: str) -> tuple[str, ...]:
        return ("bf16", "fp32")


def test_auto_is_the_first_choice_of_the_backend() -> None:
    assert resolve("auto", AmpereBackend(), "cpu") == "bf16"


def test_what_the_device_can_do_is_taken_as_asked() -> None:
    assert resolve("fp32", AmpereBackend(), "cpu") == "fp32"


def test_what_the_device_cannot_do_is_an_error_naming_what_it_can() -> None:
    with pytest.raises(EngineError, match="'fp16': ampere on cpu can do bf16, fp32"):
        resolve("fp16", AmpereBackend(), "cpu")


def test_an_unknown_precision_is_an_error_naming_the_known_ones() -> None:
    with pytest.raises(EngineError, match="precision 'half': choose auto, fp32, bf16, fp16"):
        resolve("half", AmpereBackend(), "cpu")


class AdaBackend(AmpereBackend):
    """A device that is also fast in fp8, and would be in int8."""

    def quantises(self, device: str) -> Mapping[str, Availability]:
        missing = Availability(ok=False, reason="the quantiser is not installed", hint="pip it")
        return {"fp8": Availability(ok=True), "int8": missing}

    def key_facts(self, spec: EngineSpec, *, device: str) -> dict[str, object]:
        return {}

    def build(self, spec: EngineSpec, module: nn.Module, folder: Path, **further: object) -> None:
        """Not called."""

    def load(self, artifact: Artifact, *, device: str) -> CompiledModule:
        raise AssertionError("not called")


def test_what_is_not_quantised_beside_fp8_is_in_what_auto_means() -> None:
    assert resolve("fp8", AdaBackend(), "cuda") == "bf16"


def test_a_quantiser_that_is_missing_is_named_with_what_mends_it() -> None:
    with pytest.raises(EngineError, match="'int8': the quantiser is not installed: pip it"):
        resolve("int8", AdaBackend(), "cuda")


def test_a_backend_that_quantises_nothing_says_who_does() -> None:
    with pytest.raises(EngineError, match="'fp8': ampere cannot do it: use tensorrt on an NVIDIA"):
        resolve("fp8", AmpereBackend(), "cpu")
    with pytest.raises(EngineError, match="'int8': ampere cannot do it: use openvino on a cpu"):
        resolve("int8", AmpereBackend(), "cpu")
