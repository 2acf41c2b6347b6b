"""The report of `engines verify`, on a model of a few thousand weights, drawn with eager torch."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.clip import SAMPLE, read_clip
from benchmarks.frame_path import Plan
from engines.backends.torch import TorchBackend
from engines.building import build_here
from engines.cache import EngineCache
from engines.errors import EngineError, SwapUnsupported
from engines.graphs import Call
from engines.proof import proof_of, write_proof
from engines.protocol import BackendOptions, CompiledModule, EngineBackend, SwapResult
from engines.registry import TABLE, BackendRow, Choice, choose
from engines.spec import EngineSpec
from streamgen.cli.engines_networks import networks_of
from streamgen.cli.engines_verify import CONTROLS, report_of
from streamgen.cli.engines_verify_checks import (
    FAILED,
    NOT_RUN,
    PASSED,
    Check,
    NotRun,
    Subject,
    hidden_places,
    without_places,
)
from streamgen.cli.engines_verify_frames import Terms, draw, reference_for
from streamgen.cli.engines_verify_graph import replay
from streamgen.cli.engines_verify_markdown import markdown_of
from streamgen.cli.engines_verify_networks import check
from streamgen.cli.engines_verify_report import (
    Examined,
    examine,
    raise_failures,
    settle,
    why_not,
)
from streamgen.cli.engines_verify_swap import swap, values_of
from streamgen.cli.options import controls_of
from streamgen.config import StreamConfig
from streamgen.models.engines import Engines
from streamgen.models.loading import LoadedModel, load_model
from streamgen.models.registry import find_model


class Recording(TorchBackend):
    """Eager torch under another name, that says it can be recorded."""

    name = "recording"

    def __init__(self, options: BackendOptions) -> None:
        super().__init__(options)

    def captures_on(self, device: str) -> bool:
        return True


class Other:
    """A network of the one below, but for what a subclass does otherwise."""

    def __init__(self, compiled: CompiledModule) -> None:
        self.compiled = compiled

    def __getattr__(self, name: str) -> Any:  # whatever the network has
        return getattr(self.compiled, name)


class Keeping(Other):
    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        raise SwapUnsupported("unet: it keeps its weights")


class Pretending(Other):
    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        return SwapResult(names=tuple(delta))


class Odd(Recording):
    """A backend that is like eager torch, but for its networks."""

    def __init__(self, kind: type[Other]) -> None:
        super().__init__(BackendOptions())
        self.kind = kind

    def adopt(self, spec: EngineSpec, module: nn.Module, *, device: str) -> Any:
        return self.kind(super().adopt(spec, module, device=device))


class Wrong(Recording):
    """A backend that one network has other weights with than it was given."""

    def __init__(self, role: str) -> None:
        super().__init__(BackendOptions())
        self.role = role

    def adopt(self, spec: EngineSpec, module: nn.Module, *, device: str) -> Any:
        if spec.role == self.role:
            module = copy.deepcopy(module)
            for weight in module.parameters():
                weight.data.mul_(3)
        return super().adopt(spec, module, device=device)


ROW = BackendRow(
    name="recording",
    module=__name__,
    factory="Recording",
    auto_devices=("cpu",),
    needs_proof=True,
)
Make = Callable[..., Subject]


@pytest.fixture(scope="module")
def model(small_folder: Path) -> LoadedModel:
    return load_model(find_model(str(small_folder)))


def make_subject(model: LoadedModel, backend: EngineBackend, root: Path, **asked: Any) -> Subject:
    config = StreamConfig(model=model.row.location, width=64, height=64, device="cpu")
    config = replace(config, **asked)
    choice, cache = Choice(backend=backend, device="cpu"), EngineCache(root)
    engines = Engines(model, config, choice=choice, cache=cache)
    return Subject(
        engines=engines,
        networks=networks_of(engines, (1,)),
        controls=controls_of(model.row, CONTROLS),
        builder=build_here,
    )


@pytest.fixture
def subject_of(model: LoadedModel, tmp_path: Path) -> Make:
    return lambda backend, **asked: make_subject(model, backend, tmp_path / "cache", **asked)


@pytest.fixture(scope="module")
def terms() -> Terms:
    ticks = count(0, 1_000_000)
    plan = Plan(frames=1, runs=1, warmup=1)
    return Terms(clip=read_clip(SAMPLE, limit=2), plan=plan, now_ns=lambda: next(ticks))


def tape(device: torch.device) -> Callable[[Call], Call]:
    """Records nothing: a replay is a call."""
    return lambda call: call


@pytest.fixture(scope="module")
def examined(
    model: LoadedModel, terms: Terms, tmp_path_factory: pytest.TempPathFactory
) -> Examined:
    root = tmp_path_factory.mktemp("cache")
    subject = make_subject(model, Recording(BackendOptions()), root)
    told: list[str] = []
    found = examine(subject, terms, recorder=tape, tell=lambda title, it: told.append(it.name))
    assert told == ["networks", "graph", "frames", "LoRA"]
    return found


def test_everything_is_looked_at_and_passes(examined: Examined) -> None:
    assert [check.verdict for check in examined.checks] == [PASSED] * 4
    assert examined.ratio == 1.0  # by a clock that goes on by as much at every look
    assert [each.role for each in examined.networks] == ["vae_encoder", "unet", "vae_decoder"]
    assert all(each.is_finite and each.computes_in == "fp32" for each in examined.networks)
    facts = {check.name: check.facts for check in examined.checks}
    assert facts["frames"]["psnr_db"] == 99.0
    assert facts["frames"]["reference"] == "torch in fp32"
    assert facts["LoRA"]["like_built_db"] == facts["LoRA"]["back_db"] == 999.0


def test_what_passed_is_a_proof_that_auto_asks_for(examined: Examined) -> None:
    root, table = examined.subject.engines.networks.cache.root, (ROW, *TABLE)
    assert choose(device="cpu", table=table, root=root).backend.name == "openvino"

    proofs = settle([examined], table)

    assert proofs["recording"].verdict == PASSED
    assert choose(device="cpu", table=table, root=root).backend.name == "recording"
    assert settle([examined], TABLE) == {}  # who is not in the table, needs none


def test_what_failed_takes_an_older_proof_back(
    subject_of: Make, terms: Terms, tmp_path: Path
) -> None:
    backend = Wrong("unet")
    root = tmp_path / "cache"
    write_proof(root, backend, "cpu")

    examined = examine(subject_of(backend), terms, recorder=tape)
    proofs = settle([examined], (ROW,))

    networks, *rest = examined.checks
    assert (networks.name, networks.verdict) == ("networks", FAILED)
    assert networks.said.startswith("2 of 3 are as exact as they have to be; unet x1: unet: output")
    assert [check.verdict for check in rest] == [NOT_RUN] * 3
    assert proofs["recording"].said == "auto will not take recording here: networks failed"
    assert not proof_of(root, backend, "cpu").ok
    with pytest.raises(EngineError, match="recording in fp32, networks: 2 of 3"):
        raise_failures([examined], proofs.values())


def test_a_precision_that_auto_does_not_mean_proves_nothing_and_harms_nothing(
    subject_of: Make, tmp_path: Path
) -> None:
    backend = Recording(BackendOptions())
    write_proof(tmp_path / "cache", backend, "cpu")

    subject = subject_of(backend, precision="bf16")
    networks = check(subject.engines, subject.networks, subject.builder)
    proofs = settle([Examined(subject=subject, networks=networks, checks=())], (ROW,))

    assert proofs["recording"].verdict == NOT_RUN
    assert proofs["recording"].said == "auto would take recording in fp32, which was not looked at"
    assert proof_of(tmp_path / "cache", backend, "cpu").ok


def examined_as(subject: Subject, *checks: Check) -> Examined:
    return Examined(subject=subject, networks=(), checks=checks)


def frames_check(ratio: float) -> Check:
    return Check(name="frames", verdict=PASSED, said="", facts={"ratio": ratio})


def test_what_is_slower_with_every_model_is_no_proof(subject_of: Make) -> None:
    subject = subject_of(Recording(BackendOptions()))
    slow, fast = (examined_as(subject, frames_check(ratio)) for ratio in (0.9, 1.1))

    assert why_not([slow]) == "it has 0.9 of the reference's speed at best"
    assert why_not([slow, fast]) == ""


def test_what_did_not_run_is_no_proof_but_for_what_the_device_has_not(subject_of: Make) -> None:
    subject = subject_of(Recording(BackendOptions()))
    skipped = Check(name="graph", verdict=NOT_RUN, said="nobody has graphs")

    assert why_not([examined_as(subject, skipped)]) == "graph did not run: nobody has graphs"
    assert why_not([examined_as(subject, replace(skipped, is_needed=False))]) == ""


def test_a_backend_without_graphs_is_no_failure(subject_of: Make) -> None:
    with pytest.raises(NotRun, match="torch on cpu runs without graphs") as raised:
        replay(subject_of(TorchBackend(BackendOptions())), tape)

    assert not raised.value.is_needed


def test_a_replay_that_computes_something_else_is_a_failure(subject_of: Make) -> None:
    found = replay(
        subject_of(Recording(BackendOptions())), lambda device: lambda call: lambda: None
    )

    assert found.verdict == FAILED
    assert found.said.startswith("a replay computes something else")


def test_what_cannot_be_recorded_is_a_failure_with_the_reason(subject_of: Make) -> None:
    def broken(call: Call) -> Call:
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    found = replay(subject_of(Recording(BackendOptions())), lambda device: broken)

    assert found.verdict == FAILED
    assert found.said.endswith("operation not permitted when stream is capturing")


def test_weights_that_are_not_exchanged_are_seen(subject_of: Make) -> None:
    found = swap(subject_of(Odd(Pretending)))

    assert found.verdict == FAILED
    assert found.said.startswith("B is not what a build with the same weights is")


def test_a_backend_that_keeps_its_weights_is_told_in_its_own_words(subject_of: Make) -> None:
    with pytest.raises(NotRun, match="it keeps its weights") as raised:
        swap(subject_of(Odd(Keeping)))

    assert raised.value.is_needed


def test_the_change_is_of_low_rank_the_same_each_time_and_plain_to_see(model: LoadedModel) -> None:
    base, changed = values_of(model.unet, seed=4)
    _, again = values_of(model.unet, seed=4)

    assert base.keys() == changed.keys()
    assert any(".attn" in name for name in base) and any(value.ndim == 4 for value in base.values())
    for name, value in changed.items():
        change = (value - base[name]).flatten(1)
        assert torch.linalg.matrix_rank(change, rtol=1e-4) <= 4
        assert 0.6 < change.norm() / base[name].norm() < 0.8
        assert torch.equal(value, again[name])


def test_pictures_of_another_kind_are_a_failure(subject_of: Make, terms: Terms) -> None:
    found = draw(subject_of(Wrong("vae_decoder")), terms)

    assert found.verdict == FAILED
    assert found.said.startswith("its pictures are others than the reference's")


def test_nothing_is_measured_against_itself() -> None:
    assert reference_for("openvino", "cpu").backend.name == "torch"
    with pytest.raises(NotRun, match="torch is itself what others are measured against on cpu"):
        reference_for("torch", "cpu")


def test_folders_of_this_machine_are_in_no_report() -> None:
    hidden = hidden_places(Path("/var/cache/me"))
    told = {
        "failure": f"(log: /var/cache/me/logs/unet.log), {Path.home()}/x, /usr/lib/libx.so: no",
        "rest": [r"open D:\work\me\it.txt", "see https://example.org/a/b, 3/4 of a / b", 1.5],
    }

    assert without_places(told, hidden=hidden) == {
        "failure": "(log: $STREAMGEN_CACHE/logs/unet.log), ~/x, …/libx.so: no",
        "rest": [r"open …\it.txt", "see https://example.org/a/b, 3/4 of a / b", 1.5],
    }


def test_the_text_can_be_pasted_and_names_everything(
    examined: Examined, small_folder: Path
) -> None:
    *others, lora = examined.checks
    unknown = replace(lora, verdict=NOT_RUN, said="nobody can")
    examined = replace(examined, checks=(*others, unknown))
    facts: dict[str, object] = {"streamgen": "1", "commit": "abcdef0123456789", "dirty": False}

    proofs = settle([examined], (ROW,))
    report = report_of([examined], proofs, device="cpu", versions=facts)
    text = markdown_of(report)

    lines = text.splitlines()
    assert lines[0] == "### `streamgen engines verify --report`: PASSED"
    assert "**small 64x64, recording in fp32 on cpu**" in lines
    assert "- LoRA: **NOT RUN**: nobody can" in lines
    assert any(line.startswith("- frames: **PASSED**: ") and "in turns" in line for line in lines)
    assert any(line.startswith("| vae_decoder |     1 | fp32 ") for line in lines)
    why = "auto will not take recording here: LoRA did not run: nobody can"
    assert f"- proof of recording: **NOT RUN**: {why}" in lines
    assert lines[-1] == "versions: streamgen 1, commit abcdef012345"
    assert str(small_folder.parent) not in text + json.dumps(report)


def test_the_command_prints_text_and_writes_json(
    streamgen: Callable[..., object], small_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    what = ("--size", "64", "--backend", "torch", "--frames", "1", "--model", small_folder)

    done = streamgen("engines", "verify", *what, "--report", "--json", path)

    assert done.code == 0, done.err
    assert done.out.startswith("### `streamgen engines verify --report`: PASSED")
    assert "- frames: **NOT RUN**: torch is itself what others are measured against" in done.out
    assert "torch in fp32, LoRA: PASSED" in done.err
    report = json.loads(path.read_text())
    assert (report["passed"], report["proofs"]) == (True, {})
    [subject] = report["subjects"]
    assert (subject["model"], subject["size"], subject["device"]) == ("small", "64x64", "cpu")


def test_several_models_are_compared_one_after_the_other(
    streamgen: Callable[..., object], small_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "verified.json"
    what = ("--size", "64", "--backend", "torch", "--model", small_folder, "--model", small_folder)

    done = streamgen("engines", "verify", *what, "--json", path)

    assert done.code == 0, done.err
    assert len(json.loads(path.read_text())["networks"]) == 6
