from __future__ import annotations

import pytest

from engines.errors import EngineError
from engines.precision import resolve
from engines.protocol import Availability


class AmpereBackend:
    """A device with bf16 and fp32."""

    name = "ampere"

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
