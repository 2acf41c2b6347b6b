"""What only a GPU can tell of graphs, of inductor's code for it, and of whole steps."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engines.backends.inductor import InductorBackend
from engines.cache import EngineCache
from engines.graphs import Graph, recorder_for
from engines.protocol import Artifact, BackendOptions
from engines.spec import EngineSpec, TensorSpec
from engines.verify import compare, sample_inputs
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.frame import Frame, Stamp
from streamgen.models.engines import load_engines
from streamgen.pipeline import Pipeline

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SIZE = 128


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, padding=1)
        self.norm = nn.GroupNorm(4, 32)
        self.last = nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        inside = torch.relu(self.norm(self.first(x)))
        drawn: Tensor = self.last(inside) + torch.cos(t)[:, None, None, None].to(x.dtype)
        return drawn


@pytest.fixture
def block() -> Block:
    torch.manual_seed(0)
    return Block().eval()


def block_spec(precision: str) -> EngineSpec:
    x, t = TensorSpec("x", (2, 3, 32, 32), "float32"), TensorSpec("t", (2,), "float32")
    return EngineSpec("unet", (x, t), (TensorSpec("y", (2, 3, 32, 32), "float32"),), precision)


def test_a_replay_reads_and_writes_the_same_tensors() -> None:
    device = torch.device("cuda")
    given, made = torch.ones(3, device=device), torch.zeros(3, device=device)

    def call() -> None:
        made.copy_(given.exp() + 1)

    graph = Graph(call, recorder_for(device))
    for value in (0.0, 1.0, 2.0):
        given.fill_(value)
        graph.run()
        assert torch.equal(made, given.exp() + 1)

    assert graph.is_captured and graph.reason == ""


def test_what_waits_for_the_gpu_runs_without_a_graph_and_says_why() -> None:
    device = torch.device("cuda")
    made = torch.zeros(3, device=device)

    def call() -> None:
        made.add_(float(made.sum()) * 0 + 1)

    graph = Graph(call, recorder_for(device))
    graph.run()

    assert (graph.is_captured, graph.failures) == (False, 1)
    assert graph.reason != ""


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_compiled_captured_and_exchanged_it_is_as_exact_as_it_should_be(
    block: Block, tmp_path: Path, precision: str
) -> None:
    backend, spec = InductorBackend(BackendOptions()), block_spec(precision)
    if precision not in backend.precisions("cuda"):
        pytest.skip(f"this GPU has no {precision}")
    backend.build(spec, block, tmp_path, device="cuda")
    compiled = backend.load(Artifact(spec=spec, folder=tmp_path), device="cuda")
    inputs = sample_inputs(spec, seed=1)
    least_db = 60 if precision == "fp32" else 35  # convolutions in fp32 may use TF32
    (output,) = compare(compiled, block, inputs=inputs, device="cuda").outputs
    assert output.snr_db > least_db

    bound = {name: value.cuda() for name, value in inputs.items()}
    binding = compiled.bind(bound)
    graph = Graph(binding.run, recorder_for(torch.device("cuda")))
    graph.run()
    plain = binding.outputs["y"].clone()
    bound["x"].mul_(-1)
    graph.run()
    assert graph.is_captured and not torch.equal(binding.outputs["y"], plain)

    with torch.no_grad():
        for weight in block.parameters():
            weight.mul_(0.5)
    compiled.swap_weights(block.state_dict())
    graph.invalidate()
    graph.run()
    wanted = block(-inputs["x"], inputs["t"]).detach()
    difference = (binding.outputs["y"].cpu() - wanted).square().sum()
    assert 10 * torch.log10(wanted.square().sum() / difference) > least_db


@pytest.mark.parametrize("levels", [1, 2])
def test_a_graph_of_the_whole_step_draws_the_pictures_of_the_rows(
    tmp_path: Path, levels: int
) -> None:
    config = StreamConfig(
        model="tiny", width=SIZE, height=SIZE, backend="inductor", precision="fp32", device="cuda"
    )
    engines = load_engines(config, EngineCache(tmp_path))
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)
    asked = controls_from({"t_index_list": (20, 40)[:levels]})

    def drawn(pipeline: Pipeline) -> list[Frame]:
        stream = pipeline.open_stream("one", asked)
        answers = []
        for index, pixels in enumerate(pictures):
            stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=0)
            answers += pipeline.tick([stream], [Frame(pixels=pixels, stamp=stamp)], 0)
        return [answer.frame for answer in (*answers, *pipeline.flush([stream]))]

    plain = Pipeline(engines)
    plain.steady = None
    ours = Pipeline(engines)
    assert ours.steady is not None

    for one, other in zip(drawn(ours), drawn(plain), strict=True):
        assert one.stamp == other.stamp
        assert np.abs(one.pixels.astype(int) - other.pixels.astype(int)).max() <= 1
    assert [step.graph.is_captured for step in ours.steady.steps] == [True]
