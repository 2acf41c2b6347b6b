"""A step as a graph: one for all frames, without a look at any value."""

import openvino
import pytest
import torch
from torch import nn

from streamgen.motion.module import MotionModule
from streamgen.motion.ring import Ring, RingInputs

ROWS, CHANNELS, SIDES = 3, 16, (3, 2)
RING = Ring(sinks=2, rolling=3)


class Step(nn.Module):
    """A module's step with the ring's arithmetic before it, as a network."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x, slot, seen, slabs, scales):
        view = RING.view(seen)
        strength = torch.ones(x.shape[0])
        context = RingInputs(slot, strength, view.mask, view.positions, slabs, scales)
        out, new = self.module.step(x, context)
        return (out, *new)


def inputs(dtype, *, seen, seed=0):
    torch.manual_seed(seed)
    shape = (ROWS, RING.slots, SIDES[0] * SIDES[1], CHANNELS)
    drawn = [torch.randn(shape) for _ in range(2)]
    is_int8 = dtype == torch.int8
    slabs = tuple((each * 30 if is_int8 else each).to(dtype) for each in drawn)
    scales = tuple(each[..., 0].abs().half() / 30 for each in drawn if is_int8)
    x = torch.randn(2, CHANNELS, *SIDES)
    return x, torch.tensor([2, 0]), torch.tensor(seen), slabs, scales


@pytest.fixture
def step():
    torch.manual_seed(0)
    module = MotionModule(CHANNELS, heads=4, norm_groups=4, max_length=8)
    return Step(module).eval().requires_grad_(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int8], ids=str)
def test_one_graph_of_fixed_shapes_serves_every_frame(step, dtype):
    graph = torch.export.export(step, inputs(dtype, seen=[0, 0, 0]), strict=True)
    values = [each.meta["val"] for each in graph.graph.nodes if "val" in each.meta]
    tensors = [each for value in values for each in _flat(value)]
    assert all(isinstance(side, int) for each in tensors for side in each.shape)
    assert not any("_local_scalar_dense" in str(each.target) for each in graph.graph.nodes)
    for number, seen in enumerate(([0, 3, 1], [5, 9, 6], [70, 2, 10**9])):
        given = inputs(dtype, seen=seen, seed=number)
        for ours, expected in zip(graph.module()(*given), step(*given), strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


def test_numbers_out_of_range_read_nothing_beyond_the_slabs(step):
    given = inputs(torch.float32, seen=[0, 4, 9])
    out = step.module.step(
        given[0],
        RingInputs(
            torch.tensor([-4, 10**6]),
            torch.ones(2),
            torch.ones(ROWS, RING.slots, dtype=torch.bool),
            torch.full((ROWS, RING.slots + 1), 10**9),
            given[3],
        ),
    )[0]
    assert out.isfinite().all()


def _flat(value):
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for each in value for t in _flat(each)] if isinstance(value, list | tuple) else []


@pytest.mark.slow
def test_openvino_gives_what_torch_gives(step):
    given = inputs(torch.int8, seen=[4, 0, 12])
    graph = torch.export.export(step, given, strict=True).run_decompositions()
    network = openvino.Core().compile_model(
        openvino.convert_model(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    x, slot, seen, slabs, scales = given
    flat = [each.numpy() for each in (x, slot, seen, *slabs, *scales)]
    made = [torch.from_numpy(each.copy()) for each in network(flat).values()]
    for ours, expected in zip(made, step(*given), strict=True):
        if ours.dtype == torch.int8:
            # A state half-way between two steps may go to either.
            assert (ours.int() - expected.int()).abs().max() <= 1
        else:
            torch.testing.assert_close(ours, expected.to(ours.dtype), atol=1e-4, rtol=2e-3)
