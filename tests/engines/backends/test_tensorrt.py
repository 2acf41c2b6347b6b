"""The whole life of a network with TensorRT, against a double: the calls, and what fails in them.

What `test_trt_sequence_fake_…` shows is the sequence of calls and what is made of the answers;
that TensorRT itself builds, is exact, or is fast, it does not show.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_tensorrt import Gpu, library
from torch import Tensor, nn

from engines.backends.tensorrt import TensorRtBackend
from engines.backends.tensorrt_files import BUILT, PLAN
from engines.backends.tensorrt_library import Library
from engines.backends.tensorrt_module import TensorRtModule
from engines.cache import EngineCache
from engines.errors import ArtifactError, EngineError, ShapeOutOfProfile, SwapUnsupported
from engines.progress import BuildEvent
from engines.protocol import Artifact, BackendOptions
from engines.spec import EngineSpec, Range, TensorSpec
from engines.store import NetworkStore
from engines.verify import Limits, compare, sample_inputs

SpecOf = Callable[[str], EngineSpec]


def backend_of(version: str, gpu: Gpu | None = None) -> TensorRtBackend:
    found = library(version, gpu=gpu or Gpu())
    return TensorRtBackend(BackendOptions(), library=lambda: found)


both = pytest.mark.parametrize("version", ["10.14", "11.4"])


@pytest.fixture
def version() -> str:
    return "11.4"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    """For tests that only run what is built: building takes seconds."""
    return EngineCache(tmp_path_factory.mktemp("kept"))


class Blend(nn.Module):
    """Floats [b, 4, 4h, w] and a scale in, [b, 8, 4h, w] out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return self.conv(x) * scale.to(x.dtype)


def blend_spec() -> EngineSpec:
    height = Range(name="h", least=1, usual=2, most=4, times=4)
    return EngineSpec(
        role="unet",
        inputs=(TensorSpec("x", (1, 4, height, 8), "float32"), TensorSpec("scale", (), "float32")),
        outputs=(TensorSpec("y", (1, 8, height, 8), "float32"),),
        precision="fp32",
    )


@pytest.fixture
def blend() -> nn.Module:
    torch.manual_seed(0)
    return Blend().eval()


@both
@pytest.mark.parametrize(
    ("precision", "least_db"), [("fp32", 100.0), ("fp16", 50.0), ("bf16", 35.0)]
)
def test_trt_sequence_fake_a_network_is_built_once_and_loaded_ever_after(
    version: str,
    precision: str,
    least_db: float,
    kept: EngineCache,
    spec_of: SpecOf,
    repaint: nn.Module,
):
    spec, told = spec_of(precision), list[BuildEvent]()
    limits = Limits(min_snr_db=least_db, inner_snr_db=least_db)
    store = NetworkStore(backend=backend_of(version), cache=kept, tell=told.append)
    compiled = store.compile(spec, repaint, limits=limits)

    again = NetworkStore(backend=backend_of(version), cache=kept, tell=told.append)
    loaded = again.compile(spec, repaint, limits=limits)

    stages = [event.stage for event in told]
    assert stages.count("verifying") == 1 and stages.count("ready") == 2
    assert loaded.computes_in == compiled.computes_in == precision
    first, second = (
        compare(each, repaint, inputs=sample_inputs(spec, seed=3)) for each in (compiled, loaded)
    )
    assert first == second
    first.require(limits)


def test_trt_sequence_fake_the_key_knows_version_and_gpu_and_what_is_to_be_exchanged(
    spec_of: SpecOf,
):
    def facts(version: str = "10.14", **gpu: str) -> dict[str, object]:
        return backend_of(version, Gpu(**gpu)).key_facts(spec_of("bf16"), device="cpu")

    assert facts() == facts()
    assert facts() != facts(version="11.4")
    assert facts() != facts(name="Another GPU")
    assert facts() != facts(capability="8.9")
    assert json.dumps(facts())


@pytest.fixture
def built(
    version: str, kept: EngineCache, spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> Artifact:
    """A network in a folder of its own, where it may be damaged."""
    store = NetworkStore(backend=backend_of(version), cache=kept)
    entry = store.build(spec_of("fp32"), repaint)
    assert entry is not None
    for path in entry.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return Artifact(spec=spec_of("fp32"), folder=tmp_path)


def test_trt_sequence_fake_a_plan_that_was_cut_short_is_refused(built: Artifact, version: str):
    plan = built.folder / PLAN
    plan.write_bytes(plan.read_bytes()[:-7])

    with pytest.raises(ArtifactError, match=r"vae_decoder: tensorrt refuses model\.plan: .*size"):
        backend_of(version).load(built, device="cpu")


@both
def test_trt_sequence_fake_a_plan_of_another_version_is_refused(built: Artifact, version: str):
    other = {"10.14": "10.16.1.11", "11.4": "11.4.0.107"}[version]

    with pytest.raises(ArtifactError, match="not compatible with this version"):
        backend_of(other).load(built, device="cpu")


@pytest.mark.parametrize("missing", [PLAN, BUILT])
def test_trt_sequence_fake_a_file_that_is_gone_is_named(
    built: Artifact, version: str, missing: str
):
    (built.folder / missing).unlink()

    with pytest.raises(ArtifactError, match=missing):
        backend_of(version).load(built, device="cpu")


def test_trt_sequence_fake_a_plan_that_is_refused_is_set_aside_and_built_once_more(
    version: str, cache: EngineCache, spec_of: SpecOf, repaint: nn.Module
):
    gpu = Gpu()
    store = NetworkStore(backend=backend_of(version, gpu), cache=cache)
    store.compile(spec_of("fp32"), repaint).close()
    gpu.capability = "8.6"  # which the facts of the key, asked before, do not see

    compiled = store.compile(spec_of("fp32"), repaint)

    compare(compiled, repaint, inputs=sample_inputs(compiled.spec, seed=0)).require(
        Limits(min_snr_db=100.0)
    )
    assert len(list(cache.root.glob("engines/v1/*/*/*.bad"))) == 1


def changed(spec: EngineSpec, **output: object) -> EngineSpec:
    first, *others = spec.outputs
    return replace(spec, outputs=(replace(first, **output), *others))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"dtype": "float16"}, r"'redrawn' as .*; required: redrawn .* float16"),
        ({"shape": (1, 16, 8, 3)}, r"'redrawn' as .* \[1, 16, 16, 3\]; required: redrawn \[1, 16,"),
        ({"name": "drawn"}, r"has tensors .*'redrawn'.*; required .*'drawn'"),
    ],
)
def test_trt_sequence_fake_tensors_other_than_asked_for_are_a_hard_error(
    built: Artifact, version: str, output: dict[str, object], message: str
):
    other = replace(built, spec=changed(built.spec, **output))

    with pytest.raises(ArtifactError, match=message):
        backend_of(version).load(other, device="cpu")


def test_trt_sequence_fake_another_precision_than_asked_for_is_a_hard_error(
    built: Artifact, version: str
):
    halves = replace(built, spec=replace(built.spec, precision="fp16"))
    with pytest.raises(ArtifactError, match=r"model\.plan is for fp32; required: fp16"):
        backend_of(version).load(halves, device="cpu")

    told = json.loads((built.folder / BUILT).read_text())
    (built.folder / BUILT).write_text(json.dumps({**told, "computes_in": "fp16"}))

    with pytest.raises(EngineError, match="built in fp16, tensorrt computes in fp32"):
        backend_of(version).load(halves, device="cpu")


@pytest.fixture
def ranged(version: str, kept: EngineCache, blend: nn.Module) -> TensorRtModule:
    store = NetworkStore(backend=backend_of(version), cache=kept)
    compiled = store.compile(blend_spec(), blend)
    assert isinstance(compiled, TensorRtModule)
    return compiled


@both
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_trt_sequence_fake_every_size_of_a_range_is_drawn(
    ranged: TensorRtModule, blend: nn.Module, size: int
):
    inputs = sample_inputs(ranged.spec.at({"h": size}), seed=0)

    report = compare(ranged, blend, inputs=inputs)

    report.require(Limits(min_snr_db=100.0))


def test_trt_sequence_fake_a_size_outside_of_the_range_is_refused_before_it_runs(
    ranged: TensorRtModule,
):
    with pytest.raises(ShapeOutOfProfile, match="h 5 is outside of the range"):
        ranged.bind({"x": torch.zeros(1, 4, 20, 8), "scale": torch.ones(())})


def test_trt_sequence_fake_a_network_that_keeps_its_weights_says_so(ranged: TensorRtModule):
    with pytest.raises(SwapUnsupported, match="unet: this engine was built to keep its weights"):
        ranged.swap_weights({"conv.bias": torch.zeros(8)})


def test_trt_sequence_fake_memory_tells_weights_and_the_scratch_that_all_share(
    ranged: TensorRtModule,
):
    found = ranged.memory()

    assert found.weight_bytes >= 4 * (8 * 4 * 9 + 8)
    assert found.scratch_bytes and found.scratch_bytes >= 4 * 4 * 16 * 8


def test_trt_sequence_fake_a_closed_network_is_bound_no_more_and_its_bindings_live_on(
    ranged: TensorRtModule,
):
    binding = ranged.bind(sample_inputs(ranged.spec, seed=0))
    ranged.close()

    binding.run()

    assert binding.outputs["y"].abs().sum() > 0
    with pytest.raises(EngineError, match="closed, compile it again"):
        ranged.bind(sample_inputs(ranged.spec, seed=0))
    with pytest.raises(EngineError, match="closed, compile it again"):
        ranged.memory()


class Streams:
    """A library whose current stream is the one that it is told."""

    def __init__(self) -> None:
        gpu = Gpu()
        plain = library("11.4", gpu=gpu)
        self.current = 7
        self.library = Library(
            plain.trt,
            plain.versions,
            device="cpu",
            stream=lambda _: self.current,
            synchronize=lambda _: gpu.synchronize(),
            gpu=plain.gpu,
        )


@pytest.fixture
def streams() -> Iterator[Streams]:
    yield Streams()


def pieces(backend: TensorRtBackend) -> dict[int, Tensor]:
    [scratch] = backend._scratch.values()
    return dict(scratch._pieces)


def test_trt_sequence_fake_networks_on_one_stream_share_their_scratch_memory(
    streams: Streams, kept: EngineCache, blend: nn.Module, spec_of: SpecOf, repaint: nn.Module
):
    backend = TensorRtBackend(BackendOptions(), library=lambda: streams.library)
    store = NetworkStore(backend=backend, cache=kept)
    large = store.compile(blend_spec(), blend)
    small = store.compile(spec_of("fp32"), repaint)
    bindings = [each.bind(sample_inputs(each.spec, seed=0)) for each in (large, small, large)]
    before = pieces(backend)

    for binding in bindings:
        binding.run()

    assert list(before) == [7]
    assert before[7].data_ptr() % 256 == 0
    assert pieces(backend)[7] is before[7]  # nothing was allocated while they ran


def test_trt_sequence_fake_a_run_on_another_stream_works_elsewhere(
    streams: Streams, kept: EngineCache, blend: nn.Module
):
    backend = TensorRtBackend(BackendOptions(), library=lambda: streams.library)
    compiled = NetworkStore(backend=backend, cache=kept).compile(blend_spec(), blend)
    binding = compiled.bind(sample_inputs(compiled.spec, seed=0))
    binding.run()
    right = binding.outputs["y"].clone()

    streams.current = 8
    binding.run()

    assert torch.equal(binding.outputs["y"], right)
    assert pieces(backend)[7].data_ptr() != pieces(backend)[8].data_ptr()


def test_trt_sequence_fake_scratch_that_grows_leaves_earlier_bindings_what_they_have(
    streams: Streams, kept: EngineCache, blend: nn.Module, spec_of: SpecOf, repaint: nn.Module
):
    backend = TensorRtBackend(BackendOptions(), library=lambda: streams.library)
    store = NetworkStore(backend=backend, cache=kept)
    small = store.compile(blend_spec(), blend)
    early = small.bind(sample_inputs(small.spec, seed=0))
    early.run()
    right, first = early.outputs["y"].clone(), pieces(backend)[7]
    # As of a graph that was recorded: it goes on writing where it wrote.
    [scratch] = backend._scratch.values()
    assert scratch.piece(7, 4 * first.nbytes).data_ptr() != first.data_ptr()
    large = small.bind(sample_inputs(small.spec, seed=1))

    large.run()
    early.run()

    assert torch.equal(early.outputs["y"], right)
    assert first.nbytes < pieces(backend)[7].nbytes
    assert scratch.nbytes == pieces(backend)[7].nbytes


def test_trt_sequence_fake_what_it_logs_reaches_the_log(
    built: Artifact, version: str, caplog: pytest.LogCaptureFixture
):
    plan = built.folder / PLAN
    plan.write_bytes(b"no plan at all, but long enough to be looked at")

    with pytest.raises(ArtifactError):
        backend_of(version).load(built, device="cpu")

    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert any(line.startswith("tensorrt: ") and "Magic tag" in line for line in said)
