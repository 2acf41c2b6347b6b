from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from engines.errors import BuildError
from engines.export import MODEL, WEIGHTS_MAP, exported
from engines.narrowing import narrowed
from engines.spec import EngineSpec, Range, TensorSpec
from engines.typed_lint import faults
from engines.typed_onnx import typed_graph, write_typed
from engines.verify import sample_inputs

SpecOf = Callable[[str], EngineSpec]
_TYPES = {"fp32": onnx.TensorProto.FLOAT, "fp16": onnx.TensorProto.FLOAT16}
_TYPES["bf16"] = onnx.TensorProto.BFLOAT16
_CASES = [("fp32", 21), ("fp32", 23), ("fp16", 21), ("fp16", 23), ("bf16", 23)]


def written(spec: EngineSpec, module: nn.Module, folder: Path, opset: int = 23) -> onnx.ModelProto:
    write_typed(spec, module, folder / MODEL, opset=opset)
    return onnx.load(folder / MODEL)


def told_in(folder: Path) -> dict[str, dict[str, dict[str, object]]]:
    told: dict[str, dict[str, dict[str, object]]] = json.loads(
        (folder / WEIGHTS_MAP).read_text(encoding="utf-8")
    )
    return told


@pytest.mark.parametrize(("precision", "opset"), _CASES)
def test_weights_are_of_the_precision_and_go_by_the_names_of_the_module(
    precision: str, opset: int, spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    model = written(spec_of(precision), repaint, tmp_path, opset)

    assert [each.version for each in model.opset_import if not each.domain] == [opset]
    told = told_in(tmp_path)
    assert told["weights"].keys() == dict(repaint.named_parameters()).keys()
    assert not told["folded"] and not told["unused"]
    kinds = {each.name: each.data_type for each in model.graph.initializer}
    found = {kinds[str(at["initializer"])] for at in told["weights"].values()}
    assert found == {_TYPES[precision]}
    assert faults(model, spec_of(precision)) == ()


@pytest.mark.parametrize("opset", [21, 23])
def test_halves_answer_as_torch_does_in_floats(
    opset: int, spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    spec = spec_of("fp16")
    inputs = sample_inputs(spec, seed=1)
    written(spec, repaint, tmp_path, opset)

    session = onnxruntime.InferenceSession(tmp_path / MODEL, providers=["CPUExecutionProvider"])
    made = session.run(None, {name: value.numpy() for name, value in inputs.items()})

    wanted = repaint(*(inputs[tensor.name] for tensor in spec.inputs))
    levels, latents, tokens = (torch.from_numpy(each) for each in made)
    assert (levels.int() - wanted[0].int()).abs().max() <= 1
    assert torch.allclose(latents, wanted[1], atol=5e-3)
    assert torch.equal(tokens, wanted[2])


def test_a_program_is_written_as_its_module_is(
    spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    spec = spec_of("bf16")
    program = exported(spec, repaint).module()

    written(spec, program, tmp_path)

    assert told_in(tmp_path)["weights"].keys() == dict(repaint.named_parameters()).keys()


def test_the_module_stays_as_it_is(spec_of: SpecOf, repaint: nn.Module, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in repaint.state_dict().items()}

    written(spec_of("fp16"), repaint, tmp_path)

    for name, value in repaint.state_dict().items():
        assert value.dtype == torch.float32 and torch.equal(value, before[name])


def test_bf16_in_an_opset_without_it_is_refused_with_one_that_has_it(
    spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match="bf16 in opset 21: .* from opset 22 on: use 23"):
        written(spec_of("bf16"), repaint, tmp_path, 21)


class Exact(nn.Module):
    """Multiplies in floats whatever it was cast to."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = x.float() @ self.mixed.weight.float()
        return made


def test_a_graph_that_computes_in_floats_after_all_is_refused(tmp_path: Path) -> None:
    x, y = (TensorSpec(name, (2, 4), "float32") for name in "xy")

    with pytest.raises(BuildError, match=r"not the fp16 graph asked for: MatMul .*FLOAT16"):
        written(EngineSpec("unet", (x,), (y,), "fp16"), Exact(), tmp_path)
    assert not (tmp_path / MODEL).exists()


class Timed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Linear(2, 4)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None] * torch.tensor([1.0, 0.01])
        sines = torch.sin(angles).to(self.mixed.weight.dtype)
        made: Tensor = x + self.mixed(sines)
        return made


def test_a_timestep_is_exact_up_to_its_first_layer(tmp_path: Path) -> None:
    tensors = TensorSpec("x", (1, 4), "float32"), TensorSpec("t", (1,), "float32")
    spec = EngineSpec("unet", tensors, (TensorSpec("y", (1, 4), "float32"),), "fp16")
    module = Timed()

    written(spec, module, tmp_path)

    session = onnxruntime.InferenceSession(tmp_path / MODEL, providers=["CPUExecutionProvider"])
    for t in (1.0, 999.0):
        inputs = torch.zeros(1, 4), torch.tensor([t])
        (made,) = session.run(None, {"x": inputs[0].numpy(), "t": inputs[1].numpy()})
        assert torch.allclose(torch.from_numpy(made), module(*inputs), atol=2e-3)


def test_ranges_are_sides_without_a_size(tmp_path: Path) -> None:
    side = Range(name="h", least=2, usual=4, most=8)
    x, y = (TensorSpec(name, (1, 3, side, 4), "float32") for name in "xy")
    spec = EngineSpec("unet", (x,), (y,), "fp16")

    model = written(spec, nn.Conv2d(3, 3, 3, padding=1), tmp_path)

    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [each.dim_value for each in shape] == [1, 3, 0, 4]


def test_a_graph_can_be_had_of_a_module_without_weights(spec_of: SpecOf) -> None:
    spec = spec_of("bf16")
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).eval()
        given, made = (TensorSpec(name, (2, 4), "float32") for name in "xy")
        spec = EngineSpec("unet", (given,), (made,), "bf16")
        graph = typed_graph(spec, module)

    assert faults(graph.proto(), spec) == ()
    assert graph.initializers.keys() == narrowed(spec, module).state_dict().keys()
