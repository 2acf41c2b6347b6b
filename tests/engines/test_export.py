from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from engines.errors import BuildError
from engines.export import MODEL, WEIGHTS_MAP, exported, is_program, write_onnx
from engines.spec import EngineSpec, Range, TensorSpec

SpecOf = Callable[[str], EngineSpec]


def written(spec: EngineSpec, module: nn.Module, folder: Path, opset: int = 23) -> onnx.ModelProto:
    write_onnx(spec, module, folder / MODEL, opset=opset)
    return onnx.load(folder / MODEL)


def one_to_one(*sides: int | Range, dtype: str = "float32") -> EngineSpec:
    tensors = TensorSpec("x", sides, dtype), TensorSpec("y", sides, dtype)
    return EngineSpec("unet", tensors[:1], tensors[1:], "fp32")


def side(times: int = 1, least: int = 2, step: int = 2) -> Range:
    return Range(
        name="h", least=least, usual=least + 2 * step, most=least + 4 * step, step=step, times=times
    )


@pytest.mark.parametrize("opset", [21, 23])
def test_the_file_has_the_names_and_types_of_the_specification(
    spec_of: SpecOf, repaint: nn.Module, tmp_path: Path, opset: int
) -> None:
    graph = written(spec_of("fp32"), repaint, tmp_path, opset).graph

    def told(values: list[onnx.ValueInfoProto]) -> list[tuple[str, list[int], int]]:
        kinds = [(value.name, value.type.tensor_type) for value in values]
        return [(name, [d.dim_value for d in k.shape.dim], k.elem_type) for name, k in kinds]

    uint8, int64, float32 = (getattr(onnx.TensorProto, n) for n in ("UINT8", "INT64", "FLOAT"))
    assert told(list(graph.input)) == [
        ("pixels", [1, 16, 16, 3], uint8),
        ("t", [1], float32),
        ("tokens", [1, 4], int64),
    ]
    assert told(list(graph.output)) == [
        ("redrawn", [1, 16, 16, 3], uint8),
        ("latents", [1, 8, 16, 16], float32),
        ("next_tokens", [1, 4], int64),
    ]
    assert "GroupNormalization" in {node.op_type for node in graph.node}
    assert not (tmp_path / f"{MODEL}.data").exists()


class Projected(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Linear(4, 6, bias=False)
        self.gain = nn.Parameter(torch.tensor(3.0))
        self.first, self.second = (nn.LayerNorm(6) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        told: Tensor = self.second(self.first(self.mixed(x))) * self.gain
        return told


def test_the_map_of_weights_finds_each_where_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, y = TensorSpec("x", (2, 3, 4), "float32"), TensorSpec("y", (2, 3, 6), "float32")
    module = Projected()

    graph = written(EngineSpec("unet", (x,), (y,), "fp32"), module, tmp_path).graph

    held = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    told = json.loads((tmp_path / WEIGHTS_MAP).read_text(encoding="utf-8"))
    assert told["folded"] == []
    assert told["weights"].keys() == dict(module.named_parameters()).keys()
    assert told["weights"]["mixed.weight"]["transposed"]
    for name, weight in module.named_parameters():
        place = told["weights"][name]
        value = weight.detach().t() if place["transposed"] else weight.detach()
        assert torch.equal(torch.from_numpy(held[place["initializer"]].copy()), value), name


@pytest.mark.parametrize(
    ("told", "allowed"),
    [
        (side(step=1, least=3), (3, 4, 7)),
        (side(times=8), (16, 32, 80)),
        (side(times=8, least=3, step=4), (24, 56, 152)),
    ],
)
def test_a_range_becomes_a_side_of_just_these_sizes(told: Range, allowed: tuple[int, ...]) -> None:
    program = exported(one_to_one(1, told), nn.Softmax(dim=1)).module()

    for size in allowed:
        assert program(torch.zeros(1, size))[0].shape == (1, size)
    for size in (allowed[0] - 1, allowed[-1] + told.times * told.step):
        with pytest.raises(AssertionError, match="Guard failed"):
            program(torch.zeros(1, size))


def test_a_range_of_one_size_is_a_fixed_side(tmp_path: Path) -> None:
    only = Range(name="h", least=4, usual=4, most=4, times=8)

    graph = written(one_to_one(1, only), nn.Softmax(dim=1), tmp_path).graph

    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [1, 32]


def test_the_program_of_a_module_is_exported_again_as_it_was(tmp_path: Path) -> None:
    spec = one_to_one(1, side(times=2))
    again = exported(spec, nn.Softmax(dim=1)).module()

    assert is_program(again) and not is_program(nn.Softmax(dim=1))
    graph = written(spec, again, tmp_path).graph

    assert [node.op_type for node in graph.node] == ["Softmax"]


def test_weights_keep_their_names_in_the_program(spec_of: SpecOf, repaint: nn.Module) -> None:
    program = exported(spec_of("fp32"), repaint)
    again = exported(spec_of("fp32"), program.module())

    assert set(program.state_dict) == set(again.state_dict) == set(repaint.state_dict())


def test_halves_outside_are_floats_inside(tmp_path: Path) -> None:
    program = exported(one_to_one(1, 4, dtype="float16"), nn.Linear(4, 4)).module()

    (made,) = program(torch.ones(1, 4, dtype=torch.float16))

    assert made.dtype == torch.float16


class Uneven(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(x.chunk(2, dim=1)[::-1], dim=1).reshape(1, 2, -1).reshape(1, -1)


def test_ranges_that_a_module_cannot_have_are_refused_with_their_reason() -> None:
    with pytest.raises(BuildError, match=r"(?s)export the module with h=2\.\.6 x1: .*h"):
        exported(one_to_one(1, side(step=1)), Uneven())


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("cannot be run at all")


def test_a_module_that_cannot_be_traced_is_refused_with_its_reason() -> None:
    with pytest.raises(BuildError, match="cannot export the module: cannot be run at all"):
        exported(one_to_one(1, 4), Fails())


@pytest.mark.parametrize(
    ("required", "told"),
    [
        (TensorSpec("y", (1, 4), "int64"), r"returns \['\[1, 4\] torch.float32'\]"),
        (TensorSpec("y", (1, 5), "float32"), r"required: \['y \[1, 5\] float32'\]"),
    ],
)
def test_other_outputs_than_the_specification_has_are_refused(
    required: TensorSpec, told: str
) -> None:
    with pytest.raises(BuildError, match=told):
        exported(replace(one_to_one(1, 4), outputs=(required,)), nn.Linear(4, 4))


class Sampled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvals(x).real


def test_what_onnx_has_no_words_for_is_refused_with_its_name(tmp_path: Path) -> None:
    x, y = TensorSpec("x", (3, 3), "float32"), TensorSpec("y", (3,), "float32")

    with pytest.raises(BuildError, match=r"cannot write it as ONNX: .*linalg_eig"):
        write_onnx(EngineSpec("unet", (x,), (y,), "fp32"), Sampled(), tmp_path / MODEL)


def test_the_log_of_torch_is_left_as_it_was(
    spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    logger = logging.getLogger("torch.onnx")
    before = logger.level

    write_onnx(spec_of("fp32"), repaint, tmp_path / MODEL)

    assert logger.level == before
