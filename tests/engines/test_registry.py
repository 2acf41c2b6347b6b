from __future__ import annotations

import logging
from pathlib import Path

import pytest

from engines import registry
from engines.errors import BackendUnavailable, EngineError
from engines.proof import write_proof
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


class CarefulBackend(AbsentBackend):
    """A backend that "auto" takes only with a proof."""

    name = "careful"

    def probe(self, device: str) -> Availability:
        return Availability(ok=True, versions={"careful": "1.2.3.4"})


ABSENT = BackendRow(name="absent", module=__name__, factory="AbsentBackend", auto_devices=("cpu",))


WITH_ABSENT = (ABSENT, *TABLE)
ABSENT_EXTRA = BackendRow(
    name="absent",
    module=__name__,
    factory="AbsentBackend",
    auto_devices=("cpu",),
    needs_proof=True,
)
CAREFUL = BackendRow(
    name="careful",
    module=__name__,
    factory="CarefulBackend",
    auto_devices=("cpu",),
    needs_proof=True,
)
NEVER = "never verified here; streamgen engines verify --backend careful --report"


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
        match="backend 'opnvino': choose auto, openvino, tensorrt, inductor, onnxruntime, torch",
    ):
        registry.choose("opnvino", device="cpu")


def test_options_reach_the_backend() -> None:
    made = registry.backend("torch", options=BackendOptions(threads=3))

    assert made.options == BackendOptions(threads=3)  # type: ignore[attr-defined]  # its own


def test_threads_below_one_are_refused() -> None:
    with pytest.raises(EngineError, match="threads 0: give 1 or more, or None"):
        BackendOptions(threads=0)


def test_auto_passes_over_what_has_no_proof_and_says_why_without_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    choice = registry.choose(device="cpu", table=(CAREFUL, *TABLE), root=tmp_path)

    assert (choice.backend.name, choice.rejected) == ("openvino", (("careful", NEVER),))
    said = f"engines: openvino on cpu (not careful: {NEVER})"
    assert caplog.record_tuples == [("engines.registry", logging.INFO, said)]


def test_auto_takes_it_with_a_proof(tmp_path: Path) -> None:
    proven = registry.backend("careful", table=(CAREFUL,))
    write_proof(tmp_path, proven, "cpu")

    choice = registry.choose(device="cpu", table=(CAREFUL, *TABLE), root=tmp_path)

    assert (choice.backend.name, choice.rejected) == ("careful", ())


def test_proofs_are_looked_for_in_the_cache_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMGEN_CACHE", str(tmp_path))
    write_proof(tmp_path, registry.backend("careful", table=(CAREFUL,)), "cpu")

    assert registry.choose(device="cpu", table=(CAREFUL, *TABLE)).backend.name == "careful"


def test_what_was_asked_for_by_name_needs_no_proof(tmp_path: Path) -> None:
    choice = registry.choose("careful", device="cpu", table=(CAREFUL, *TABLE), root=tmp_path)

    assert (choice.backend.name, choice.rejected) == ("careful", ())


def test_an_extra_that_is_not_installed_and_needs_a_proof_is_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    choice = registry.choose(device="cpu", table=(ABSENT_EXTRA, *TABLE), root=tmp_path)

    assert (choice.backend.name, choice.rejected) == ("openvino", ())
    assert [record.message for record in caplog.records] == ["engines: openvino on cpu"]


def test_a_backend_that_should_run_and_does_not_is_still_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    choice = registry.choose(device="cpu", table=(CAREFUL, ABSENT, *TABLE), root=tmp_path)

    assert [name for name, _ in choice.rejected] == ["careful", "absent"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_tensorrt_comes_before_inductor_on_a_gpu_and_needs_a_proof() -> None:
    on_gpus = [row.name for row in TABLE if {"cuda", "*"} & set(row.auto_devices)]

    assert on_gpus == ["tensorrt", "inductor", "torch"]
    assert [row.name for row in TABLE if row.needs_proof] == ["tensorrt"]
