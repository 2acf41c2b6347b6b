"""Casts that a strongly typed compiler needs in an ONNX graph, and torch does not write.

TensorRT has uint8 only as inputs and outputs of a network, and casts it only from and to float32
and float16 (NvInferRuntimeBase.h, `kUINT8`): what moves bytes about moves floats here. And torch
joins floats of two kinds, as SDXL's UNet does with what it is told beside the text.

int8 it has only as what is quantised, and its parser gathers none (onnx-tensorrt, operators.md of
TensorRT 10.1): a slab of int8 is dequantised by one where it comes in, which is the same number in
every float, and what is new of it is quantised by one.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any  # onnx_ir's values are Any here, it is imported late

_MOVES = ("Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity")
_PICKS = (*_MOVES, "Gather", "Slice")


def cast_at_the_edges(graph: Any) -> None:
    """Rewrite a graph of onnx_ir so that bytes are cast next to its inputs and outputs.

    What does more to bytes than to move them is left as it is, for `typed_lint` to name.
    """
    ir: Any = import_module("onnx_ir")
    for value in list(graph.inputs):
        if value.dtype == ir.DataType.UINT8 and _only_moved(value):
            _cast_first(ir, graph, value)
    for at, value in enumerate(graph.outputs):
        if value.dtype == ir.DataType.UINT8:
            _cast_last(ir, graph, at)


def quantise_at_the_edges(graph: Any) -> None:
    """Rewrite a graph of onnx_ir so that int8 is quantised and dequantised, by one, and not cast.

    What does more to an input than to pick of it is left as it is, for `typed_lint` to name.
    """
    ir: Any = import_module("onnx_ir")
    for value in list(graph.inputs):
        if value.dtype == ir.DataType.INT8 and (casts := _casts_of(value)):
            _dequantise(ir, graph, value, casts)
    for value in list(graph.outputs):
        node = value.producer()
        if value.dtype == ir.DataType.INT8 and node is not None and node.op_type == "Cast":
            kind = node.inputs[0].dtype
            told = [node.inputs[0], *_one(ir, graph, kind, name=f"{value.name}_quantised")]
            name, value.name = value.name, f"{value.name}_cast"
            made = ir.Value(name=name, shape=value.shape, type=value.type)
            quantised = ir.node("QuantizeLinear", told, outputs=[made], name=f"quantise_{name}")
            graph.insert_before(node, quantised)
            ir.convenience.replace_all_uses_with(value, made, replace_graph_outputs=True)
            graph.remove(node, safe=True)


def cast_what_is_joined(graph: Any) -> None:
    """Rewrite a graph of onnx_ir so that floats are cast to what they become when joined."""
    ir: Any = import_module("onnx_ir")
    for node in list(graph):
        if node.op_type != "Concat":
            continue
        (made,) = node.outputs
        for at, value in enumerate(node.inputs):
            if value.dtype != made.dtype:
                cast = _cast(ir, value, made.dtype, name=f"{made.name}_of_{at}")
                graph.insert_before(node, cast)
                node.replace_input_with(at, cast.outputs[0])


def _only_moved(value: Any) -> bool:
    """Tell whether bytes are moved up to a cast, on all ways that they go."""
    return not value.is_graph_output() and all(
        node.op_type == "Cast" or (node.op_type in _MOVES and _only_moved(node.outputs[0]))
        for node, _ in value.uses()
    )


def _cast_first(ir: Any, graph: Any, value: Any) -> None:
    uses = tuple(value.uses())
    if all(node.op_type == "Cast" and _has_bytes(ir, node.outputs[0]) for node, _ in uses):
        return
    cast = _cast(ir, value, ir.DataType.FLOAT, name=f"{value.name}_levels")
    for node, at in uses:
        node.replace_input_with(at, cast.outputs[0])
    graph.insert_before(next(iter(graph)), cast)
    moved = [cast.outputs[0]]
    while moved:
        for node, _ in moved.pop().uses():
            if node.op_type in _MOVES:
                node.outputs[0].dtype = ir.DataType.FLOAT
                moved.append(node.outputs[0])


def _casts_of(value: Any) -> list[Any]:
    """Return the casts that end all ways from a value on which it is only picked; () otherwise."""
    found = []
    for node, at in value.uses():
        if node.op_type == "Cast":
            found.append(node)
        elif node.op_type in _PICKS and at == 0 and (further := _casts_of(node.outputs[0])):
            found += further
        else:
            return []
    return [] if value.is_graph_output() else found


def _dequantise(ir: Any, graph: Any, value: Any, casts: list[Any]) -> None:
    kinds = {cast.outputs[0].dtype for cast in casts}
    kind = kinds.pop() if len(kinds) == 1 else ir.DataType.FLOAT
    told = [value, *_one(ir, graph, kind, name=value.name)]
    made = ir.Value(name=f"{value.name}_states", shape=value.shape, type=ir.TensorType(kind))
    ways = list(value.uses())
    node = ir.node("DequantizeLinear", told, outputs=[made], name=f"dequantise_{value.name}")
    graph.insert_before(next(iter(graph)), node)
    for reader, at in ways:
        reader.replace_input_with(at, made)
    moved = [made]
    while moved:
        for reader, _ in moved.pop().uses():
            if reader.op_type in _PICKS:
                reader.outputs[0].dtype = kind
                moved.append(reader.outputs[0])
    for cast in casts:
        if cast.outputs[0].dtype == kind and not cast.outputs[0].is_graph_output():
            ir.convenience.replace_all_uses_with(cast.outputs[0], cast.inputs[0])
            graph.remove(cast, safe=True)


def _one(ir: Any, graph: Any, kind: Any, *, name: str) -> list[Any]:
    """Return a scale of one, and the zero of int8, which says what is quantised to."""
    found = []
    for what, number, dtype in (("scale", 1, kind), ("zero", 0, ir.DataType.INT8)):
        told = ir.tensor(number, dtype=dtype, name=f"{name}_{what}")
        held = ir.Value(name=told.name, shape=told.shape, type=ir.TensorType(dtype))
        held.const_value = told
        graph.register_initializer(held)
        found.append(held)
    return found


def _cast_last(ir: Any, graph: Any, at: int) -> None:
    value = graph.outputs[at]
    moves = []
    node = value.producer()
    while node is not None and node.op_type in _MOVES and _is_read_once(node.outputs[0]):
        moves.append(node)
        node = node.inputs[0].producer()
    if node is None or node.op_type != "Cast" or not _is_read_once(node.outputs[0]):
        return
    given = node.inputs[0]
    if not _has_bytes(ir, given):
        widened = _cast(ir, given, ir.DataType.FLOAT, name=f"{value.name}_widened")
        graph.insert_before(node, widened)
        given = widened.outputs[0]
        node.replace_input_with(0, given)
    if not moves:
        return
    moves[-1].replace_input_with(0, given)
    graph.remove(node, safe=True)
    for move in moves:
        move.outputs[0].dtype = given.dtype
    name, value.name = value.name, f"{value.name}_levels"
    cast = _cast(ir, value, ir.DataType.UINT8, name=name)
    graph.insert_after(moves[0], cast)
    graph.outputs[at] = cast.outputs[0]


def _cast(ir: Any, value: Any, kind: Any, *, name: str) -> Any:
    made = ir.Value(name=name, shape=value.shape, type=ir.TensorType(kind))
    return ir.node("Cast", [value], {"to": kind}, outputs=[made], name=f"cast_to_{name}")


def _has_bytes(ir: Any, value: Any) -> bool:
    """Tell whether TensorRT casts between bytes and what a value holds."""
    halves: bool = value.dtype in (ir.DataType.FLOAT, ir.DataType.FLOAT16)
    return halves


def _is_read_once(value: Any) -> bool:
    return len(value.uses()) + int(value.is_graph_output()) == 1
