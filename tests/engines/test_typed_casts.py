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


def written(spec: EngineSpec, module: nn.Module, folder: Path) -> list[onnx.NodeProto]:
    write_typed(spec, module, folder / MODEL)
    return list(onnx.load(folder / MODEL).graph.node)


def names(nodes: list[onnx.NodeProto]) -> list[str]:
    return [node.op_type for node in nodes]


def bytes_spec(precision: str, given: tuple[int, ...], made: tuple[int, ...]) -> EngineSpec:
    x, y = TensorSpec("x", given, "uint8"), TensorSpec("y", made, "uint8")
    return EngineSpec("vae_decoder", (x,), (y,), precision)


class Moved(nn.Module):
    """Bytes in, moved about twice on either side of what is computed, bytes out."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([[1.0, 0.5]]))

    def forward(self, x: Tensor) -> Tensor:
        planes = x.permute(2, 0, 1).reshape(6, 2).to(self.gain.dtype)
        levels = (planes * self.gain).round().to(torch.uint8)
        return levels.reshape(3, 2, 2).permute(1, 2, 0).contiguous()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_bytes_are_cast_next_to_the_edges_and_come_out_as_before(
    precision: str, tmp_path: Path
) -> None:
    nodes = written(bytes_spec(precision, (2, 2, 3), (2, 2, 3)), Moved(), tmp_path)

    moves = {"Transpose", "Reshape"}
    assert nodes[0].op_type == nodes[-1].op_type == "Cast"
    assert moves <= set(names(nodes[1:-1]))
    x = torch.randint(0, 256, (2, 2, 3), dtype=torch.uint8, generator=torch.Generator())
    session = onnxruntime.InferenceSession(tmp_path / MODEL, providers=["CPUExecutionProvider"])
    (made,) = session.run(None, {"x": x.numpy()})
    assert torch.equal(torch.from_numpy(made), Moved()(x))


def test_bytes_never_meet_bf16(tmp_path: Path) -> None:
    nodes = written(bytes_spec("bf16", (2, 2, 3), (2, 2, 3)), Moved(), tmp_path)

    kinds = [node.attribute[0].i for node in nodes if node.op_type == "Cast"]
    proto = onnx.TensorProto
    assert kinds == [proto.FLOAT, proto.BFLOAT16, proto.FLOAT, proto.UINT8]


class Halved(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x.to(torch.float16) / 2).to(torch.uint8)


def test_casts_that_are_in_their_place_already_stay_alone(tmp_path: Path) -> None:
    assert names(written(bytes_spec("fp16", (2, 2), (2, 2)), Halved(), tmp_path)) == [
        "Cast",
        "Div",
        "Cast",
    ]


class Shifted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1


def test_what_computes_with_bytes_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"fp16 graph .*Add .* takes or gives UINT8"):
        written(bytes_spec("fp16", (2, 2), (2, 2)), Shifted(), tmp_path)


class Joined(nn.Module):
    """As SDXL's UNet joins halves of a sentence with sines of sizes, which are floats."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Linear(6, 2)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        sines = torch.sin(t)[:, None].expand(-1, 2)
        joined = torch.cat([x.to(self.mixed.weight.dtype), sines], dim=1)
        made: Tensor = self.mixed(joined.to(self.mixed.weight.dtype))
        return made


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_halves_are_cast_to_the_floats_that_they_are_joined_with(
    precision: str, tmp_path: Path
) -> None:
    spec = EngineSpec(
        "unet",
        (TensorSpec("x", (3, 4), "float32"), TensorSpec("t", (3,), "float32")),
        (TensorSpec("y", (3, 2), "float32"),),
        precision,
    )

    nodes = written(spec, Joined(), tmp_path)

    joined = names(nodes).index("Concat")
    assert names(nodes)[joined - 1] == names(nodes)[joined + 1] == "Cast"


class Kept(nn.Module):
    """A row is picked of a slab of int8, scaled and given back as int8 once it is changed."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Linear(4, 4, bias=False)

    def forward(self, slab: Tensor, slot: Tensor) -> tuple[Tensor, Tensor]:
        states = slab.index_select(0, slot).to(self.mixed.weight.dtype) / 16
        made = self.mixed(states)
        return made, (made.float() * 100).round().clamp(-127, 127).to(torch.int8)


def kept_spec(precision: str) -> EngineSpec:
    return EngineSpec(
        "unet",
        (TensorSpec("slab", (3, 2, 4), "int8", True), TensorSpec("slot", (2,), "int64")),
        (TensorSpec("made", (2, 2, 4), "float32"), TensorSpec("new", (2, 2, 4), "int8")),
        precision,
    )


def test_slabs_of_int8_are_dequantised_by_one_and_quantised_by_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Kept().eval()

    nodes = written(kept_spec("fp32"), module, tmp_path)

    assert names(nodes)[0] == "DequantizeLinear" and "QuantizeLinear" in names(nodes)
    slab, slot = torch.randint(-128, 128, (3, 2, 4), dtype=torch.int8), torch.tensor([2, 0])
    session = onnxruntime.InferenceSession(tmp_path / MODEL, providers=["CPUExecutionProvider"])
    made, new = session.run(None, {"slab": slab.numpy(), "slot": slot.numpy()})
    with torch.no_grad():
        wanted, wanted_new = module(slab, slot)
    assert torch.allclose(torch.from_numpy(made), wanted, atol=1e-5)
    assert torch.equal(torch.from_numpy(new), wanted_new)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_no_cast_meets_int8(precision: str, tmp_path: Path) -> None:
    nodes = written(kept_spec(precision), Kept(), tmp_path)

    kinds = [each.attribute[0].i for each in nodes if each.op_type == "Cast"]
    assert onnx.TensorProto.INT8 not in kinds
    readers = [each.op_type for each in nodes if "slab" in each.input]
    assert readers == ["DequantizeLinear"]


class Doubled(nn.Module):
    def forward(self, slab: Tensor) -> Tensor:
        return slab + slab


def test_what_computes_with_int8_is_refused_by_its_name(tmp_path: Path) -> None:
    slab, new = (TensorSpec(name, (2, 2), "int8") for name in ("slab", "new"))
    with pytest.raises(BuildError, match=r"Add .* takes or gives INT8"):
        written(EngineSpec("unet", (slab,), (new,), "fp16"), Doubled(), tmp_path)
