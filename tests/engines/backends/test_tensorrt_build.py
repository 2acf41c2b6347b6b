"""How TensorRT is asked to build, against a double: second tries, times that are kept, an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from fake_tensorrt import Gpu, library, load
from torch import nn

from engines.backends.tensorrt import TensorRtBackend
from engines.backends.tensorrt_files import BASE, BUILT, PLAN, WEIGHTS
from engines.backends.tensorrt_library import Library
from engines.backends.tensorrt_monitor import Phases
from engines.backends.tensorrt_timing import timing_path
from engines.building import BuildJob, build_here
from engines.cache import EngineCache
from engines.errors import BuildCancelled, BuildError
from engines.export import WEIGHTS_MAP
from engines.progress import BuildEvent, Watch
from engines.protocol import BackendOptions
from engines.spec import EngineSpec
from engines.store import NetworkStore
from engines.typed_onnx import write_typed

SpecOf = Callable[[str], EngineSpec]


def backend_of(version: str = "10.14", gpu: Gpu | None = None) -> TensorRtBackend:
    found = library(version, gpu=gpu or Gpu())
    return TensorRtBackend(BackendOptions(), library=lambda: found)


@pytest.fixture
def spec(spec_of: SpecOf) -> EngineSpec:
    return spec_of("fp32")


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_trt_sequence_fake_a_plan_is_all_that_a_build_leaves(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path
):
    backend_of().build(spec, repaint, tmp_path)

    assert files(tmp_path) == {PLAN, BUILT}
    told = json.loads((tmp_path / BUILT).read_text())
    assert told == {"computes_in": "fp32", "tensorrt": "10.14.1.48", "opset": 23, "attempt": 1}


def test_trt_sequence_fake_what_cannot_be_built_is_tried_once_more_with_less(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    backend_of(gpu=Gpu(highest_level=2)).build(spec, repaint, tmp_path)

    assert json.loads((tmp_path / BUILT).read_text())["attempt"] == 2
    assert "tensorrt cannot build it with Effort(level=3" in caplog.text


def test_trt_sequence_fake_what_cannot_be_built_at_all_ends_with_the_lines_of_its_log(
    spec: EngineSpec, repaint: nn.Module, cache: EngineCache
):
    told: list[BuildEvent] = []
    gpu = Gpu(highest_level=0)
    store = NetworkStore(backend=backend_of(gpu=gpu), cache=cache, tell=told.append)

    with pytest.raises(BuildError, match="tensorrt cannot build it: .*any implementation for node"):
        store.compile(spec, repaint)

    assert told[-1].stage == "failed" and "any implementation" in told[-1].message
    assert cache.entries() == ()
    assert not list(cache.root.glob("engines/v1/*/*/*"))


def test_trt_sequence_fake_a_driver_that_went_is_told_by_the_build(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path
):
    trt = load("11.4", gpu=None)
    gone = Library(trt, {"tensorrt": trt.__version__}, device="cpu", gpu=library("11.4").gpu)
    backend = TensorRtBackend(BackendOptions(), library=lambda: gone)

    with pytest.raises(BuildError, match="tensorrt makes no Builder: CUDA initialization failure"):
        backend.build(spec, repaint, tmp_path)


@pytest.mark.parametrize("bad", [b"no graph", b""])
def test_trt_sequence_fake_a_graph_that_it_cannot_read_is_written_in_the_older_opset(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path, bad: bytes
):
    def write(path: Path, opset: int) -> None:
        if opset > 21:
            path.write_bytes(bad)
        else:
            write_typed(spec, repaint, path, opset=opset)

    backend_of().build_from(spec, repaint, tmp_path, device="cpu", write=write)

    assert json.loads((tmp_path / BUILT).read_text())["opset"] == 21


def test_trt_sequence_fake_a_graph_that_it_cannot_read_at_all_is_an_error_with_its_reason(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path
):
    def write(path: Path, opset: int) -> None:
        path.write_bytes(b"no graph")

    with pytest.raises(BuildError, match="vae_decoder: tensorrt cannot read opset 23: "):
        backend_of().build_from(spec, repaint, tmp_path, device="cpu", write=write)
    assert files(tmp_path) == set()


def test_trt_sequence_fake_weights_are_kept_beside_the_plan_only_where_they_are_exchanged(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path
):
    backend_of().build(replace(spec, swaps_weights=True), repaint, tmp_path)

    assert files(tmp_path) == {PLAN, BUILT, WEIGHTS, BASE}


def test_trt_sequence_fake_11_3_builds_but_not_for_weights_that_are_exchanged(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path
):
    with pytest.raises(BuildError, match=r"tensorrt 11\.3\.\S+ may lose biases .*LoRAs"):
        backend_of("11.3").build(replace(spec, swaps_weights=True), repaint, tmp_path)
    assert files(tmp_path) == set()

    backend_of("11.3").build(spec, repaint, tmp_path)

    assert files(tmp_path) == {PLAN, BUILT}


def test_trt_sequence_fake_kernels_that_cannot_be_exchanged_are_refused_when_it_is_built(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path
):
    wanted = replace(spec, swaps_weights=True)

    def write(path: Path, opset: int) -> None:
        write_typed(wanted, repaint, path, opset=opset)
        place = path.with_name(WEIGHTS_MAP)
        told = json.loads(place.read_text())
        told["weights"]["down.weight"]["initializer"] = "fused"
        place.write_text(json.dumps(told))

    with pytest.raises(BuildError, match=r"cannot exchange 1 of its weights, such as down\.weight"):
        backend_of().build_from(wanted, repaint, tmp_path, device="cpu", write=write)


def test_trt_sequence_fake_times_are_kept_for_the_version_and_the_gpu(
    spec: EngineSpec, repaint: nn.Module, cache: EngineCache
):
    store = NetworkStore(backend=backend_of(), cache=cache)
    store.build(spec, repaint)
    kept = cache.root / "timing" / "10.14.1.48-pretend-gpu.cache"
    first = json.loads(kept.read_bytes())["entries"]
    assert first

    kept.write_bytes(b"half of wha")  # what is no good is made anew
    store.build(replace(spec, role="vae_encoder"), repaint)

    assert json.loads(kept.read_bytes())["entries"] == first
    assert {path.suffix for path in kept.parent.iterdir()} == {".cache", ".lock"}


def test_times_are_kept_for_folders_of_a_cache_alone(tmp_path: Path, cache: EngineCache):
    found = library("11.4")
    inside = cache.folder("unet", "ab" * 32).with_name("ab.tmp-1")

    assert timing_path(tmp_path, found, "NVIDIA H200") is None
    path = timing_path(inside, found, "NVIDIA H200")
    assert path == cache.root / "timing" / "11.4.0.106-nvidia-h200.cache"


def test_trt_sequence_fake_a_build_tells_how_far_it_is(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path
):
    told: list[BuildEvent] = []
    job = BuildJob(spec=spec, module=repaint, backend=backend_of())

    build_here(job, tmp_path, tell=told.append, cancel=Event())

    shares = [event.share for event in told if event.share is not None]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0
    assert {event.stage for event in told} == {"building"}
    assert told[-1].message == "tensorrt: Building Engine"


def test_trt_sequence_fake_a_build_that_nobody_wants_any_more_ends_and_leaves_nothing(
    spec: EngineSpec, repaint: nn.Module, cache: EngineCache
):
    cancel, told = Event(), list[BuildEvent]()

    def tell(event: BuildEvent) -> None:
        told.append(event)
        if event.share is not None and event.share > 0:  # in the middle of it
            cancel.set()

    store = NetworkStore(backend=backend_of(), cache=cache, tell=tell, cancel=cancel)

    with pytest.raises(BuildCancelled, match="vae_decoder: its build was cancelled"):
        store.compile(spec, repaint)

    assert told[-1].stage == "cancelled"
    assert max(event.share or 0.0 for event in told) < 1.0
    assert not list(cache.root.glob("engines/v1/*/*/*"))


def test_a_backend_that_is_watched_leaves_the_one_that_it_is_a_copy_of_alone(
    spec: EngineSpec, repaint: nn.Module, tmp_path: Path
):
    heard: list[str] = []
    backend = backend_of()
    watch = Watch(tell=lambda what, share: heard.append(what), is_wanted=lambda: True)
    backend.watched(watch)

    backend.build(spec, repaint, tmp_path)

    assert heard == []


def test_phases_within_phases_are_shares_of_the_outermost():
    told: list[tuple[str, float | None]] = []
    phases = Phases(Watch(tell=lambda *news: told.append(news), is_wanted=lambda: True))
    phases.start("whole", None, 2)
    phases.start("part", "whole", 4)
    for step in range(4):
        assert phases.step("part", step)
    phases.finish("part")
    phases.step("whole", 0)
    phases.start("other", "whole", 1)
    phases.step("other", 0)
    phases.finish("other")
    phases.step("whole", 1)
    phases.finish("whole")

    expected = [0.0, 0.125, 0.25, 0.375, 0.5, 1.0]
    assert told == [("whole", share) for share in expected]


def test_phases_that_were_never_begun_are_let_pass():
    phases = Phases(Watch(tell=lambda what, share: None, is_wanted=lambda: False))

    phases.finish("unheard of")

    assert phases.step("unheard of", 3) is False
