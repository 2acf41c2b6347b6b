"""Weights exchanged in an engine of TensorRT, against a double: all of them, or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_tensorrt import Gpu, library
from torch import Tensor, nn

from engines.backends.tensorrt import TensorRtBackend
from engines.backends.tensorrt_files import BASE, WEIGHTS
from engines.backends.tensorrt_module import Spoilt, TensorRtModule
from engines.cache import EngineCache
from engines.errors import ArtifactError, EngineError, SpecMismatch, SwapUnsupported
from engines.protocol import Artifact, BackendOptions
from engines.spec import EngineSpec, TensorSpec
from engines.store import NetworkStore
from engines.verify import Limits, compare, sample_inputs

Values = dict[str, Tensor]


class Attend(nn.Module):
    """Tokens [1, 6, 8] in and out: matrices with a bias and without, and one that is idle."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(8, 12)
        self.out = nn.Linear(12, 8, bias=False)
        self.norm = nn.LayerNorm(8)
        self.conv = nn.Conv1d(6, 6, 1)
        self.idle = nn.Linear(3, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens.to(self.out.weight.dtype)
        return self.conv(self.norm(self.out(torch.relu(self.into(tokens)))))


def spec_of(precision: str = "fp32") -> EngineSpec:
    return EngineSpec(
        role="unet",
        inputs=(TensorSpec("tokens", (1, 6, 8), "float32"),),
        outputs=(TensorSpec("drawn", (1, 6, 8), "float32"),),
        precision=precision,
        swaps_weights=True,
    )


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return Attend().eval()


def values(seed: int) -> Values:
    """What is different in another network, of the weights that count."""
    return {k: v for k, v in network(seed).state_dict().items() if not k.startswith("idle")}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    return EngineCache(tmp_path_factory.mktemp("kept"))


both = pytest.mark.parametrize("version", ["10.14", "11.4"])


@pytest.fixture
def version() -> str:
    return "11.4"


@pytest.fixture
def gpu() -> Gpu:
    return Gpu()


@pytest.fixture
def backend(version: str, gpu: Gpu) -> TensorRtBackend:
    found = library(version, gpu=gpu)
    return TensorRtBackend(BackendOptions(), library=lambda: found)


@pytest.fixture
def built(backend: TensorRtBackend, kept: EngineCache, tmp_path: Path) -> Artifact:
    """The network of seed 0, in a folder of its own."""
    entry = NetworkStore(backend=backend, cache=kept).build(spec_of(), network(0))
    assert entry is not None
    for path in entry.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return Artifact(spec=spec_of(), folder=tmp_path)


@pytest.fixture
def compiled(backend: TensorRtBackend, built: Artifact) -> TensorRtModule:
    return backend.load(built, device="cpu")


def drawn(compiled: TensorRtModule) -> Tensor:
    binding = compiled.bind(sample_inputs(compiled.spec, seed=0))
    binding.run()
    return binding.outputs["drawn"].clone()


def assert_draws_as(compiled: TensorRtModule, module: nn.Module, least_db: float = 100.0) -> None:
    report = compare(compiled, module, inputs=sample_inputs(compiled.spec, seed=0))
    report.require(Limits(min_snr_db=least_db))


@both
def test_trt_sequence_fake_from_a_to_b_and_back_is_a_again_bit_for_bit(compiled: TensorRtModule):
    compiled.swap_weights(values(1))
    first = drawn(compiled)
    assert_draws_as(compiled, network(1))

    compiled.swap_weights(values(2))
    assert_draws_as(compiled, network(2))
    compiled.swap_weights(values(1))

    assert torch.equal(drawn(compiled), first)
    compiled.swap_weights(values(0))
    assert_draws_as(compiled, network(0))


@pytest.mark.parametrize(("precision", "least_db"), [("bf16", 30.0), ("fp16", 50.0)])
def test_trt_sequence_fake_values_are_cast_to_what_the_engine_holds(
    backend: TensorRtBackend, kept: EngineCache, precision: str, least_db: float
):
    store = NetworkStore(backend=backend, cache=kept)
    compiled = store.compile(spec_of(precision), network(0))
    assert isinstance(compiled, TensorRtModule)
    before = drawn(compiled)

    wide = {name: value.double() for name, value in values(1).items()}
    compiled.swap_weights(wide)

    assert_draws_as(compiled, network(1), least_db)
    compiled.swap_weights({name: value.bfloat16() for name, value in values(2).items()})
    assert_draws_as(compiled, network(2), 30.0)
    compiled.swap_weights(values(0))
    assert torch.equal(drawn(compiled), before)


@pytest.mark.parametrize(
    "name", ["into.weight", "into.bias", "out.weight", "norm.weight", "conv.weight", "conv.bias"]
)
def test_trt_sequence_fake_one_weight_alone_brings_those_that_it_was_made_one_with(
    compiled: TensorRtModule, name: str
):
    expected = network(0)
    expected.load_state_dict({name: values(1)[name]}, strict=False)

    result = compiled.swap_weights({name: values(1)[name]})

    assert (result.names, result.needs_binding) == ((name,), False)
    assert_draws_as(compiled, expected)


@both
def test_trt_sequence_fake_what_is_brought_along_is_what_is_there_now(compiled: TensorRtModule):
    compiled.swap_weights(values(1))
    expected = network(1)
    expected.load_state_dict({"into.weight": values(2)["into.weight"]}, strict=False)

    compiled.swap_weights({"into.weight": values(2)["into.weight"]})

    assert_draws_as(compiled, expected)  # with the bias of 1, not of 0


def test_trt_sequence_fake_bindings_made_before_draw_with_the_new_weights(
    compiled: TensorRtModule,
):
    binding = compiled.bind(sample_inputs(compiled.spec, seed=0))
    binding.run()

    compiled.swap_weights(values(1))
    binding.run()

    assert torch.equal(binding.outputs["drawn"], drawn(compiled))
    assert_draws_as(compiled, network(1))


def test_trt_sequence_fake_values_may_be_gone_after_the_swap(compiled: TensorRtModule):
    given = values(1)
    compiled.swap_weights(given)
    for value in given.values():
        value.zero_()
    del given

    assert_draws_as(compiled, network(1))
    compiled.swap_weights({"into.bias": values(1)["into.bias"]})
    assert_draws_as(compiled, network(1))


def test_trt_sequence_fake_a_weight_that_nothing_is_computed_from_changes_nothing(
    backend: TensorRtBackend, built: Artifact
):
    place = built.folder / WEIGHTS
    told = json.loads(place.read_text())
    place.write_text(json.dumps({**told, "folded": [], "unused": ["idle.bias", "idle.weight"]}))
    compiled = backend.load(built, device="cpu")
    before = drawn(compiled)

    result = compiled.swap_weights({"idle.weight": torch.ones(3, 3)})

    assert result.names == ("idle.weight",)
    assert torch.equal(drawn(compiled), before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"into.wieght": torch.zeros(12, 8)}, "no weight 'into.wieght' to swap"),
        ({"into.weight": torch.zeros(8, 12)}, r"shape \[8, 12\]; required: \[12, 8\]"),
        ({"into.bias": torch.full((12,), float("nan"))}, "'into.bias' has values that the engine"),
        ({"conv.bias": torch.tensor([1e39, *[0.0] * 5], dtype=torch.float64)}, "'conv.bias' has"),
    ],
)
def test_trt_sequence_fake_what_does_not_fit_changes_nothing(
    compiled: TensorRtModule, wrong: Values, message: str
):
    before = drawn(compiled)

    with pytest.raises(SpecMismatch, match=f"unet: .*{message}"):
        compiled.swap_weights(values(1) | wrong)

    assert torch.equal(drawn(compiled), before)


def edit_weights(artifact: Artifact, old: str, new: str) -> None:
    place = artifact.folder / WEIGHTS
    text = place.read_text()
    assert old in text
    place.write_text(text.replace(old, new))


def test_trt_sequence_fake_a_weight_that_the_engine_has_no_more_is_refused_by_name(
    backend: TensorRtBackend, built: Artifact
):
    edit_weights(built, '"place": "network.norm.bias"', '"place": "fused"')
    compiled = backend.load(built, device="cpu")
    before = drawn(compiled)

    with pytest.raises(
        SwapUnsupported, match=r"unet: weight 'norm\.bias' became part of something"
    ):
        compiled.swap_weights(values(1))

    assert torch.equal(drawn(compiled), before)


def test_trt_sequence_fake_tied_weights_are_given_one_value(
    backend: TensorRtBackend, built: Artifact
):
    edit_weights(built, '"place": "network.norm.bias"', '"place": "network.norm.weight"')
    compiled = backend.load(built, device="cpu")
    ones = {"norm.weight": torch.ones(8), "norm.bias": torch.ones(8)}
    compiled.swap_weights(ones)

    with pytest.raises(SpecMismatch, match=r"'norm\.bias' is tied to 'norm\.weight'"):
        compiled.swap_weights({**ones, "norm.bias": torch.zeros(8)})


@both
def test_trt_sequence_fake_a_refit_that_fails_half_way_puts_the_old_weights_back(
    compiled: TensorRtModule, gpu: Gpu
):
    compiled.swap_weights(values(1))
    before = drawn(compiled)
    gpu.failing_refits = 1

    with pytest.raises(EngineError, match="weights not exchanged, the old ones stay: .*refitted"):
        compiled.swap_weights(values(2))

    assert torch.equal(drawn(compiled), before)
    compiled.swap_weights(values(2))
    assert_draws_as(compiled, network(2))


@both
def test_trt_sequence_fake_a_network_whose_old_weights_cannot_be_put_back_runs_no_more(
    compiled: TensorRtModule, gpu: Gpu
):
    binding = compiled.bind(sample_inputs(compiled.spec, seed=0))
    gpu.failing_refits = 2

    with pytest.raises(Spoilt, match="weights half exchanged .* closed, compile it again"):
        compiled.swap_weights(values(1))

    with pytest.raises(EngineError, match="half exchanged"):
        binding.run()
    with pytest.raises(EngineError, match="closed, compile it again"):
        compiled.bind(sample_inputs(compiled.spec, seed=0))


def test_trt_sequence_fake_values_that_were_lost_on_disk_are_missed_before_anything_changes(
    compiled: TensorRtModule, built: Artifact
):
    before = drawn(compiled)
    (built.folder / BASE).unlink()

    with pytest.raises(ArtifactError, match=BASE.replace(".", r"\.")):
        compiled.swap_weights(values(1))

    assert torch.equal(drawn(compiled), before)


@pytest.mark.parametrize("content", ["", "[]", '{"named": {}}', '{"named": 3, "folded": []}'])
def test_trt_sequence_fake_a_list_of_weights_that_is_no_good_is_a_bad_artifact(
    backend: TensorRtBackend, built: Artifact, content: str
):
    (built.folder / WEIGHTS).write_text(content)

    with pytest.raises(ArtifactError, match=r"weights\.json is no good"):
        backend.load(built, device="cpu")


def test_trt_sequence_fake_an_engine_that_was_built_without_cannot_pretend(
    backend: TensorRtBackend, kept: EngineCache, built: Artifact
):
    fixed = replace(built.spec, swaps_weights=False)
    entry = NetworkStore(backend=backend, cache=kept).build(fixed, network(0))
    assert entry is not None

    with pytest.raises(ArtifactError, match="built to keep its weights"):
        (entry.folder / WEIGHTS).write_bytes((built.folder / WEIGHTS).read_bytes())
        backend.load(Artifact(spec=built.spec, folder=entry.folder), device="cpu")


def test_trt_sequence_fake_any_order_of_swaps_ends_as_a_fresh_engine(
    compiled: TensorRtModule, backend: TensorRtBackend, built: Artifact
):
    generator = torch.Generator().manual_seed(0)
    held: Mapping[str, Tensor] = values(0)
    for _ in range(12):
        chosen = values(int(torch.randint(0, 5, (), generator=generator)))
        names = [n for n in chosen if torch.rand((), generator=generator) < 0.6]
        compiled.swap_weights({name: chosen[name] for name in names})
        held = {**held, **{name: chosen[name] for name in names}}

    fresh = backend.load(built, device="cpu")
    fresh.swap_weights(held)

    assert torch.equal(drawn(compiled), drawn(fresh))
