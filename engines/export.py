"""From a torch module to an exported program, and on to ONNX; knows no backend."""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any  # torch and onnx_ir leave the types of programs and graphs open

import torch
from torch import Tensor, fx, nn

from engines.binding import torch_dtype
from engines.errors import BuildError
from engines.narrowing import is_cast
from engines.onnx_graph import OnnxGraph, quiet, translated
from engines.spec import EngineSpec, Range, Side, TensorSpec

MODEL = "model.onnx"
WEIGHTS_MAP = "weights_map.json"
#: With GroupNormalization (21) and Attention (23) as operations of their own.
OPSET, OLDER_OPSET = 23, 21
_FILES = ("export.py", "onnx_graph.py", "narrowing.py")


def exporter_hash() -> str:
    """Hash these files: what they write is another artifact as soon as one is changed."""
    files = [Path(__file__).with_name(name) for name in _FILES]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_program(module: nn.Module) -> bool:
    """Tell whether a module is, or holds, an exported program; those have no mode to change."""
    return any(isinstance(part, fx.GraphModule) for part in module.modules())


def exported(spec: EngineSpec, module: nn.Module) -> torch.export.ExportedProgram:
    """Export a module, or a program's module, with the ranges and the dtypes of a specification.

    module: fp32 on the CPU; it is put in eval mode. Raises BuildError where it cannot be traced,
    or gives other tensors than the specification has.
    """
    if not is_program(module):
        module.eval()
    ported = _Ported(module, spec)
    example = tuple(torch.zeros(t.usual_shape, dtype=torch_dtype(t)) for t in spec.inputs)
    shapes = {"inputs": _dynamic_shapes(spec)} if spec.ranges else None
    with quiet(), torch.no_grad():
        try:
            program = torch.export.export(ported, example, dynamic_shapes=shapes, strict=False)
        # whatever the module raises while it is traced comes through as it is
        except Exception as error:
            told = str(error).split("\n\n")[0]
            ranges = "".join(f" with {side}" for side in spec.ranges.values())
            raise BuildError(
                f"{spec.role}: torch cannot export the module{ranges}: {told}"
            ) from error
    _check_outputs(spec, program)
    return program


def write_onnx(spec: EngineSpec, module: nn.Module, path: Path, *, opset: int = OPSET) -> None:
    """Write a module as ONNX with the names, dtypes and ranges of a specification; fp32 weights.

    Beside it comes WEIGHTS_MAP, as `OnnxGraph.weights_map` has it, and for networks above 1.5 GB a
    file of the weights. Raises BuildError where ONNX has no words for it.
    """
    save_onnx(spec, translated(spec, exported(spec, module), opset=opset), path)


def save_onnx(spec: EngineSpec, graph: OnnxGraph, path: Path, *, prefix: str = "") -> None:
    """Write a graph with its WEIGHTS_MAP, and have it checked; prefix: of names, left out there."""
    graph.save(path)
    told = json.dumps(graph.weights_map(prefix), indent=1)
    path.with_name(WEIGHTS_MAP).write_text(told, encoding="utf-8")
    onnx: Any = import_module("onnx")
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BuildError(f"{spec.role}: torch wrote ONNX that is not valid: {error}") from error


class _Ported(nn.Module):
    """A network with floats as in its specification outside, and as in its weights inside.

    It has the network's parts for its own, so that the weights keep their names.
    """

    def __init__(self, network: nn.Module, spec: EngineSpec) -> None:
        super().__init__()
        self._parameters, self._buffers = network._parameters, network._buffers
        self._non_persistent_buffers_set = network._non_persistent_buffers_set
        self._modules = network._modules
        self._network = network.forward
        # A program was exported with the dtypes of the specification, and has its casts inside.
        has_casts = is_program(network)
        self._is_cast = [is_cast(tensor) and not has_casts for tensor in spec.inputs]
        self._dtypes = [torch_dtype(tensor) for tensor in spec.outputs]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        ways = zip(inputs, self._is_cast, strict=True)
        given = (each.float() if casts else each for each, casts in ways)
        made = self._network(*given)
        results = made if isinstance(made, tuple | list) else (made,)
        pairs = zip_longest(results, self._dtypes[: len(results)])
        return tuple(_as_float(result, dtype) for result, dtype in pairs)


def _as_float(result: Tensor, dtype: torch.dtype | None) -> Tensor:
    is_float = dtype is not None and dtype.is_floating_point and result.is_floating_point()
    return result.to(dtype) if is_float else result


def _dynamic_shapes(spec: EngineSpec) -> tuple[dict[int, Any], ...]:
    """Return for each input the ranged sides in torch's words: a step counted, times a number."""
    steps = {
        name: torch.export.Dim(name, min=side.least // side.step, max=side.most // side.step)
        for name, side in spec.ranges.items()
        if side.least < side.most
    }

    def dim(side: Side) -> Any:
        if not isinstance(side, Range) or side.name not in steps:
            return torch.export.Dim.STATIC
        factor, rest = side.times * side.step, side.times * (side.least % side.step)
        scaled = steps[side.name] if factor == 1 else factor * steps[side.name]
        return scaled + rest if rest else scaled

    return tuple({at: dim(side) for at, side in enumerate(t.shape)} for t in spec.inputs)


def _check_outputs(spec: EngineSpec, program: torch.export.ExportedProgram) -> None:
    (made,) = program.graph.output_node().args
    assert isinstance(made, tuple)
    found = [value.meta["val"] for value in made if isinstance(value, fx.Node)]
    told = [f"{list(value.shape)} {value.dtype}" for value in found]
    fits = len(found) == len(spec.outputs) and all(
        _fits(tensor, value) for tensor, value in zip(spec.outputs, found, strict=True)
    )
    if not fits:
        required = [str(tensor) for tensor in spec.outputs]
        raise BuildError(f"{spec.role}: the module returns {told}; required: {required}")


def _fits(tensor: TensorSpec, value: Tensor) -> bool:
    # The size that a ranged side had while it was traced is what torch calls its hint.
    sizes = [int(s.node.hint) if isinstance(s, torch.SymInt) else s for s in value.shape]
    return tuple(sizes) == tensor.usual_shape and value.dtype == torch_dtype(tensor)
