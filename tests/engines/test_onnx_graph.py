from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from engines.export import MODEL, exported, write_onnx
from engines.onnx_graph import OnnxGraph, translated
from engines.spec import EngineSpec, TensorSpec

SPEC = EngineSpec(
    "unet",
    (TensorSpec("x", (2, 3, 4), "float32"),),
    (TensorSpec("y", (2, 3, 4), "float32"),),
    "fp32",
)


def graph_of(module: nn.Module, spec: EngineSpec = SPEC) -> OnnxGraph:
    return translated(spec, exported(spec, module), opset=23)


def saved(graph: OnnxGraph, folder: Path) -> dict[str, Tensor]:
    graph.save(folder / MODEL)
    kept = onnx.load(folder / MODEL).graph.initializer
    return {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in kept}


class Alike(nn.Module):
    """Two layers of equal weights, which are to be changed one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.load_state_dict(self.first.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.second(self.first(x))
        return made


def test_equal_weights_stay_apart(tmp_path: Path) -> None:
    module = Alike()
    graph = graph_of(module)

    told = graph.initializers
    assert len({at.name for at in told.values()}) == 4
    held = saved(graph, tmp_path)
    for name, weight in module.state_dict().items():
        assert torch.equal(held[told[name].name], weight.t() if told[name].transposed else weight)


class Twice(nn.Module):
    """A weight that is used as it is and with its sides exchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.mixed(x) @ self.mixed.weight
        return made


def test_a_weight_that_is_used_both_ways_is_one_initializer_as_it_is(tmp_path: Path) -> None:
    module = Twice()
    graph = graph_of(module)

    (at,) = graph.initializers.values()
    assert not at.transposed and at.dtype == "float32"
    assert torch.equal(saved(graph, tmp_path)[at.name], module.mixed.weight)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.second(self.first(x))
        return made


def test_a_weight_of_two_names_is_one_initializer() -> None:
    told = graph_of(Tied()).initializers

    assert told["first.weight"] == told["second.weight"]
    assert told["first.bias"] != told["second.bias"]


class Idle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)
        self.register_buffer("order", torch.tensor([2, 0, 1]))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.used(x[:, self.order])
        return made


def test_a_weight_that_nothing_is_computed_from_is_told_of_as_unused() -> None:
    told = graph_of(Idle()).weights_map("us")

    assert told["unused"] == ["idle.bias", "idle.weight"]
    assert told["folded"] == []
    assert told["weights"] == {
        "ed.bias": {"initializer": "used.bias", "transposed": False, "dtype": "float32"},
        "ed.weight": {"initializer": "used.weight", "transposed": True, "dtype": "float32"},
    }


def test_a_graph_can_be_looked_over_without_its_weights() -> None:
    with torch.device("meta"):
        module = Alike()
        graph = graph_of(module)

    proto = graph.proto()
    kinds = {each.name: (list(each.dims), each.data_type) for each in proto.graph.initializer}
    assert kinds["first.weight"] == ([4, 4], onnx.TensorProto.FLOAT)
    assert all(each.data_location == onnx.TensorProto.EXTERNAL for each in proto.graph.initializer)


def test_a_graph_is_saved_more_than_once(
    spec_of: Callable[[str], EngineSpec], repaint: nn.Module, tmp_path: Path
) -> None:
    graph = graph_of(repaint, spec_of("fp32"))

    first = saved(graph, tmp_path)
    graph.proto()
    again = saved(graph, tmp_path)

    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_dtype_of_each_weight_is_told(dtype: torch.dtype) -> None:
    told = graph_of(_Halved(dtype)).initializers

    assert {at.dtype for at in told.values()} == {str(dtype).removeprefix("torch.")}


class _Halved(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.mixed = nn.Linear(4, 4, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.mixed(x.to(self.mixed.weight.dtype)).float()
        return made


class ClampedTwice(nn.Module):
    """As each motion module clamps how strong it is to be."""

    def forward(self, x: Tensor, strength: Tensor) -> Tensor:
        for _ in range(3):
            x = x * strength.clamp(0, 1)[:, None] + 1
        return x


def test_what_is_clamped_again_and_again_has_its_bounds(tmp_path: Path) -> None:
    spec = EngineSpec(
        role="unet",
        inputs=(TensorSpec("x", (2, 3), "float32"), TensorSpec("strength", (2,), "float32")),
        outputs=(TensorSpec("y", (2, 3), "float32"),),
        precision="fp32",
    )

    write_onnx(spec, ClampedTwice(), tmp_path / MODEL)

    inputs = {"x": torch.ones(2, 3), "strength": torch.tensor([-1.0, 2.0])}
    session = onnxruntime.InferenceSession(tmp_path / MODEL, providers=["CPUExecutionProvider"])
    (made,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    assert torch.equal(torch.from_numpy(made), ClampedTwice()(**inputs))
