"""From a torch module to OpenVINO's files; knows nothing of running them."""

from __future__ import annotations

import errno
import hashlib
import logging
import sys
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any  # OpenVINO ships no types: its objects are Any here

import numpy as np
import torch
from torch import nn

from engines import export
from engines.binding import torch_dtype
from engines.errors import BuildError
from engines.export import exported, is_program
from engines.spec import EngineSpec, Range, TensorSpec

MODEL = "model.xml"
WEIGHTS = "model.bin"

TYPES = {
    "bool": "boolean",
    "uint8": "u8",
    "int32": "i32",
    "int64": "i64",
    "float32": "f32",
    "float16": "f16",
}
# Where a lower precision pays; what these make of a vector is not kept exact.
_HEAVY = ("MatMul", "Convolution", "ConvolutionBackpropData", "GroupConvolution")


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Keep OpenVINO from reporting to its vendor, which `import openvino` alone would do.

    It takes its own stub where the reporting package cannot be imported. Nothing is changed
    where that package is in use already: then somebody else has decided.
    """
    name = "openvino_telemetry"
    if name in sys.modules:
        yield
        return
    # typeshed wants modules, but None is Python's documented way to make an import fail
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def import_openvino() -> Any:
    """Import and return `openvino`, silently; ImportError or OSError where it cannot run."""
    with without_telemetry():
        return import_module("openvino")


@contextmanager
def root_logger_kept() -> Iterator[None]:
    """Undo what conversion does to the root logger: silenced, and for good where it fails."""
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def exporter_hash() -> str:
    """Hash this file and the one it exports with: changed, they write another artifact."""
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return hashlib.sha256(f"{own} {export.exporter_hash()}".encode()).hexdigest()


def write_ir(
    spec: EngineSpec,
    module: nn.Module,
    folder: Path,
    *,
    change: Callable[[Any], Any] = lambda model: model,
) -> None:
    """Convert a module, which is put in eval mode, and write it with fp32 weights.

    change: what is done to OpenVINO's model before it is written.
    """
    for tensor in (*spec.inputs, *spec.outputs):
        if tensor.dtype_name not in TYPES:
            raise BuildError(f"{spec.role}: {tensor}: openvino takes {', '.join(TYPES)}")
    model = _converted(spec, module)
    _name_ports(spec, spec.inputs, model.inputs, kind="input")
    _name_ports(spec, spec.outputs, model.outputs, kind="output")
    exact = _hold_shapes(_computed_from_vectors(model)) | _picks(model)
    model = change(model)
    try:
        import_openvino().save_model(model, folder / MODEL, compress_to_fp16=False)
    except RuntimeError as error:  # what OpenVINO makes of a full disk
        raise OSError(errno.EIO, f"openvino cannot write ({error})", str(folder)) from error
    _mark_exact(folder / MODEL, exact)


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
            return ov.convert_model(module.eval(), example_input=example, input=shapes)
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


def _computed_from_vectors(model: Any) -> list[Any]:
    """Find the operations that depend on scalar and vector inputs only, up to a heavy one.

    That is a timestep on its way to its sines. In bf16 a timestep of 999 is 1000, and 999 times
    a frequency is off by radians: left to OpenVINO, a small UNet fell from 40 dB at t = 1 to
    27 dB at t = 999 (OpenVINO keeps such paths exact only from integer inputs).
    """
    vectors = {
        node.get_friendly_name()
        for node in model.get_parameters()
        if node.output(0).get_partial_shape().rank.get_length() < 2
    }
    constants: set[str] = set()
    found: list[Any] = []
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        given = {value.get_node().get_friendly_name() for value in node.input_values()}
        if given <= constants and node.get_type_name() != "Parameter":
            constants.add(name)
        elif node.get_type_name() in (*_HEAVY, "Result", "Parameter"):
            continue
        elif given <= vectors | constants:
            vectors.add(name)
            found.append(node)
    return found


def _picks(model: Any) -> set[str]:
    """Return the names of what picks parts of an input.

    Not kept exact, OpenVINO converts all of the input to a lower precision to pick from that: of a
    slab of 73 MB, 12 ms a run instead of none.
    """
    return {
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() == "Gather"
        and node.input_value(0).get_node().get_type_name() == "Parameter"
    }


def _hold_shapes(nodes: list[Any]) -> set[str]:
    """Write Unsqueeze and Squeeze as the Reshape that OpenVINO makes of them; return the names.

    OpenVINO replaces them when it compiles, and then forgets that they were marked as exact.
    """
    ops = import_openvino().opset8
    for node in nodes:
        if node.get_output_partial_shape(0).is_dynamic:
            continue
        if node.get_type_name() in ("Unsqueeze", "Squeeze") and node.output(0).get_target_inputs():
            target = ops.constant(np.array(list(node.output(0).get_shape()), dtype=np.int64))
            reshaped = ops.reshape(node.input_value(0), target, False)
            reshaped.set_friendly_name(node.get_friendly_name())
            for reader in node.output(0).get_target_inputs():
                reader.replace_source_output(reshaped.output(0))
    return {node.get_friendly_name() for node in nodes}


def _mark_exact(path: Path, names: set[str]) -> None:
    """Mark operations by name, so that no lower precision is given to them on loading.

    The mark is OpenVINO's own, but its Python interface cannot set it; its files can hold it.
    """
    tree = ET.parse(path)
    for layer in tree.getroot().iterfind("layers/layer"):
        if layer.get("name") not in names:
            continue
        marks = layer.find("rt_info")
        if marks is None:
            marks = ET.Element("rt_info")
            layer.insert(0 if layer.find("data") is None else 1, marks)
        mark = {"name": "DisablePrecisionConversion", "version": "0", "value": "dynamic:f16"}
        ET.SubElement(marks, "attribute", mark)
    tree.write(path, encoding="utf-8", xml_declaration=True)
