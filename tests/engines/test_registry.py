from __future__ import annotations

import logging

import pytest

from engines import registry
from engines.errors import BackendUnavailable, EngineError
from engines.protocol import Availability, BackendOptions
from engines.registry import TABLE, BackendRow


class AbsentBackend:
    """A backend of another kind of machine."""

    name = "absent"

    def __init__(self, options: BackendOptions) -> None:
        self.options = options

    def probe(self, device: str) -> Availability:
        return Availability(ok=False, reason="no driver", hint="install the driver")

    def precisions(self, device: str) -> tuple[str, ...]:
        return ("fp32",)


ABSENT = BackendRow(name="absent", module=__name__, factory="AbsentBackend", auto_devices=("cpu",))


WITH_ABSENT = (ABSENT, *TABLE)


def test_auto_on_a_cpu_is_openvino() -> None:
    choice = registry.choose(device="cpu")

    assert (choice.backend.name, choice.device, choice.rejected) == ("openvino", "cpu", ())


def test_auto_elsewhere_is_torch() -> None:
    assert registry.choose(device="meta").backend.name == "torch"


def test_auto_goes_on_to_the_next_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    choice = registry.choose(device="cpu", table=WITH_ABSENT)

    assert choice.backend.name == "openvino"
    assert choice.rejected == (("absent", "no driver; install the driver"),)
    said = "openvino on cpu (not absent: no driver; install the driver)"
    assert ("engines.registry", logging.WARNING, f"engines: {said}") in caplog.record_tuples


def test_what_was_asked_for_by_name_and_cannot_be_had_is_an_error_with_the_fix() -> None:
    with pytest.raises(BackendUnavailable, match="'absent' on cpu: no driver; install the driver"):
        registry.choose("absent", device="cpu", table=WITH_ABSENT)


def test_openvino_on_a_gpu_is_an_error_with_the_fix() -> None:
    with pytest.raises(BackendUnavailable, match="runs on cpu, not on cuda; use --device cpu"):
        registry.choose("openvino", device="cuda")


def test_a_device_that_torch_does_not_have_is_an_error_with_the_fix() -> None:
    with pytest.raises(BackendUnavailable, match="'torch' on xpu: .*; use --device cpu"):
        registry.choose("torch", device="xpu")


def test_an_unknown_backend_is_an_error_naming_the_allowed_ones() -> None:
    with pytest.raises(
        BackendUnavailable,
        match="backend 'opnvino': choose auto, openvino, inductor, onnxruntime, torch",
    ):
        registry.choose("opnvino", device="cpu")


def test_options_reach_the_backend() -> None:
    made = registry.backend("torch", options=BackendOptions(threads=3))

    assert made.options == BackendOptions(threads=3)  # type: ignore[attr-defined]  # its own


def test_threads_below_one_are_refused() -> None:
    with pytest.raises(EngineError, match="threads 0: give 1 or more, or None"):
        BackendOptions(threads=0)
