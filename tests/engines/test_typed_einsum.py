"""Einsums become matrix products, so that the graph can be had in bf16 and computes the same."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from engines.errors import BuildError
from engines.export import MODEL
from engines.spec import EngineSpec, TensorSpec
from engines.typed_onnx import write_typed


class Sum(nn.Module):
    def __init__(self, equation: str) -> None:
        super().__init__()
        self.equation = equation
        self.gain = nn.Linear(1, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return torch.einsum(self.equation, left, right) + self.gain.bias


def spec_of(shapes: tuple[tuple[int, ...], ...], precision: str) -> EngineSpec:
    left, right, made = (
        TensorSpec(name, shape, "float32")
        for name, shape in zip(("left", "right", "made"), shapes, strict=True)
    )
    return EngineSpec("unet", (left, right), (made,), precision)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        # What diffusers' attention pooling has.
        ("bct,bcs->bts", ((2, 3, 4), (2, 3, 5), (2, 4, 5))),
        ("bts,bcs->bct", ((2, 4, 5), (2, 3, 5), (2, 3, 4))),
        ("bij,bjk->bik", ((2, 3, 4), (2, 4, 5), (2, 3, 5))),
        ("bij,bjk->bki", ((2, 3, 4), (2, 4, 5), (2, 5, 3))),
        # What motion modules have: heads in the middle, several sides as one, and vectors.
        ("bnhd,hdc->bnhc", ((2, 3, 4, 5), (4, 5, 6), (2, 3, 4, 6))),
        ("bnhc,bsnc->bnhs", ((2, 3, 4, 5), (2, 6, 3, 5), (2, 3, 4, 6))),
        ("bnhc,bsc->bnhs", ((2, 3, 4, 5), (2, 6, 5), (2, 3, 4, 6))),
        ("bnhc,bnc->bnh", ((2, 3, 4, 5), (2, 3, 5), (2, 3, 4))),
        ("bnhs,bsnc->bnhc", ((2, 3, 4, 6), (2, 6, 3, 5), (2, 3, 4, 5))),
        ("bnhs,bsc->bnhc", ((2, 3, 4, 6), (2, 6, 5), (2, 3, 4, 5))),
        ("bnhc,hdc->bnhd", ((2, 3, 4, 5), (4, 6, 5), (2, 3, 4, 6))),
        ("mihd,ijhd->mhij", ((2, 3, 4, 5), (3, 6, 4, 5), (2, 4, 3, 6))),
    ],
)
def test_a_product_of_matrices_is_one_and_gives_the_same(
    tmp_path: Path, equation: str, shapes: tuple[tuple[int, ...], ...]
) -> None:
    torch.manual_seed(0)
    module = Sum(equation).eval()
    left, right = torch.randn(shapes[0]), torch.randn(shapes[1])

    write_typed(spec_of(shapes, "fp32"), module, tmp_path / MODEL)

    kinds = [node.op_type for node in onnx.load(tmp_path / MODEL).graph.node]
    assert "Einsum" not in kinds and "MatMul" in kinds
    session = onnxruntime.InferenceSession(tmp_path / MODEL)
    [made] = session.run(None, {"left": left.numpy(), "right": right.numpy()})
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(made), module(left, right), atol=1e-5)
    write_typed(spec_of(shapes, "bf16"), module, tmp_path / "narrow.onnx")


def test_another_sum_is_refused_in_bf16_and_left_alone_in_fp32(tmp_path: Path) -> None:
    shapes = ((2, 3), (2, 4), (2, 3, 4))
    module = Sum("bi,bj->bij")

    write_typed(spec_of(shapes, "fp32"), module, tmp_path / MODEL)
    with pytest.raises(BuildError, match="Einsum"):
        write_typed(spec_of(shapes, "bf16"), module, tmp_path / "narrow.onnx")
