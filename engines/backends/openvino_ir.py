"""From a torch module to OpenVINO's files; knows nothing of running them."""

from __future__ import annotations

import errno
import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any  # OpenVINO ships no types: its objects are Any here

import torch
from torch import nn

from engines import export
from engines.backends import openvino_exact, openvino_weights
from engines.backends.openvino_exact import hold_exact, mark_exact
from engines.backends.openvino_library import import_openvino, root_logger_kept
from engines.backends.openvino_weights import converted_with_places
from engines.binding import torch_dtype
from engines.errors import BuildError
from engines.export import exported, is_program
from engines.marking import marking_hash
from engines.spec import EngineSpec, Range, TensorSpec

MODEL = "model.xml"
WEIGHTS = "model.bin"

TYPES = {
    "bool": "boolean",
    "uint8": "u8",
    "int8": "i8",
    "int32": "i32",
    "int64": "i64",
    "float32": "f32",
    "float16": "f16",
}


def exporter_hash() -> str:
    """Hash this file and those it exports with: changed, they write another artifact."""
    files = (Path(__file__), Path(openvino_exact.__file__), Path(openvino_weights.__file__))
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    told = [*hashes, marking_hash(), export.exporter_hash()]
    return hashlib.sha256(" ".join(told).encode()).hexdigest()


def write_ir(
    spec: EngineSpec,
    module: nn.Module,
    folder: Path,
    *,
    change: Callable[[Any], Any] | None = None,
) -> None:
    """Convert a module, which is put in eval mode, and write it with fp32 weights.

    Beside it come the places of the weights. change: what is done to OpenVINO's model before it is
    written; what comes of that has no places for new weights.
    """
    for tensor in (*spec.inputs, *spec.outputs):
        if tensor.dtype_name not in TYPES:
            raise BuildError(f"{spec.role}: {tensor}: openvino takes {', '.join(TYPES)}")
    if not is_program(module):
        module.eval()
    model, places = converted_with_places(module, lambda given: _converted(spec, given))
    _name_ports(spec, spec.inputs, model.inputs, kind="input")
    _name_ports(spec, spec.outputs, model.outputs, kind="output")
    exact = hold_exact(model)
    model = change(model) if change else model
    try:
        import_openvino().save_model(model, folder / MODEL, compress_to_fp16=False)
    except RuntimeError as error:  # what OpenVINO makes of a full disk
        raise OSError(errno.EIO, f"openvino cannot write ({error})", str(folder)) from error
    mark_exact(folder / MODEL, exact)
    if change is None:
        places.write(folder)


def _converted(spec: EngineSpec, module: nn.Module) -> Any:
    with root_logger_kept(), warnings.catch_warnings(), torch.no_grad():
        # Tracing warns of each Python branch, and of its own deprecation. The branches are meant:
        # shapes are static. Conversion by torch.export is the way out once tracing is removed.
        warnings.simplefilter("ignore")
        if spec.ranges or is_program(module):
            return _converted_program(spec, exported(spec, module))
        ov = import_openvino()
        example = tuple(torch.zeros(t.usual_shape, dtype=torch_dtype(t)) for t in spec.inputs)
        shapes = [(list(t.shape), getattr(ov.Type, TYPES[t.dtype_name])) for t in spec.inputs]
        try:
            return ov.convert_model(module, example_input=example, input=shapes)
        # OpenVINO wraps whatever the module raises while it is traced, in types of its own
        except Exception as error:
            raise BuildError(f"{spec.role}: openvino cannot convert the module: {error}") from error


def _converted_program(spec: EngineSpec, program: torch.export.ExportedProgram) -> Any:
    """Convert what torch has exported: a trace holds the sizes that it was made at."""
    ov = import_openvino()
    try:
        model = ov.convert_model(program)
        # It has lost the fixed sides beside the ranged ones, and the bounds of those.
        wanted = zip(model.inputs, spec.inputs, strict=True)
        model.reshape({port: ov.PartialShape(_dimensions(t)) for port, t in wanted})
    except (RuntimeError, ValueError) as error:
        raise BuildError(f"{spec.role}: openvino cannot convert the program: {error}") from error
    return model


def _dimensions(tensor: TensorSpec) -> list[Any]:
    dimension = import_openvino().Dimension
    return [
        side
        if isinstance(side, int)
        else dimension(side.times * side.least, side.times * side.most)
        for side in tensor.shape
    ]


def _name_ports(
    spec: EngineSpec, required: tuple[TensorSpec, ...], ports: list[Any], *, kind: str
) -> None:
    found = [f"{port.partial_shape} {port.element_type.get_type_name()}" for port in ports]
    fits = len(ports) == len(required) and all(map(_is_port_of, required, ports))
    if not fits:
        names = [tensor.name for tensor in required]
        wanted = [str(tensor) for tensor in required]
        raise BuildError(f"{spec.role}: {kind}s {names} became {found}; required: {wanted}")
    for tensor, port in zip(required, ports, strict=True):
        port.get_tensor().set_names({tensor.name})


def _is_port_of(tensor: TensorSpec, port: Any) -> bool:
    shape = list(port.partial_shape)
    return (
        port.element_type.get_type_name() == TYPES[tensor.dtype_name]
        and len(shape) == len(tensor.shape)
        and all(
            found.is_dynamic if isinstance(side, Range) else found == side
            for side, found in zip(tensor.shape, shape, strict=True)
        )
    )
