"""Einsums of a graph written as matrix products, which ONNX has in every float type.

ONNX has Einsum for no bf16 up to opset 24, and compilers know MatMul better anyhow.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any  # onnx_ir's values are Any here, it is imported late


def multiply_matrices(graph: Any) -> None:
    """Rewrite the einsums of a graph of onnx_ir that are batched products of two matrices.

    Others are left as they are, for the checker or `typed_lint` to name.
    """
    ir: Any = import_module("onnx_ir")
    for node in list(graph):
        if node.op_type != "Einsum" or (order := _order(node)) is None:
            continue
        factors = []
        for name, (value, is_turned) in zip(("left", "right"), order, strict=True):
            if is_turned:
                turn = _turned(ir, value, name=f"{node.outputs[0].name}_{name}")
                graph.insert_before(node, turn)
                value = turn.outputs[0]
            factors.append(value)
        made = node.outputs[0]
        name, made.name = made.name, f"{made.name}_einsum"
        result = ir.Value(name=name, shape=made.shape, type=made.type)
        product = ir.node("MatMul", factors, outputs=[result], name=f"{name}_product")
        graph.insert_before(node, product)
        ir.convenience.replace_all_uses_with(made, result, replace_graph_outputs=True)
        graph.remove(node, safe=True)


def _order(node: Any) -> list[tuple[Any, bool]] | None:
    """Return the two factors in the order of the product, and whether each is to be turned.

    None for what is no product of two matrices, one by one along a first axis.
    """
    equation = node.attributes["equation"].as_string().replace(" ", "")
    given, _, made = equation.partition("->")
    parts = given.split(",")
    if len(parts) != 2 or any(len(set(each)) != 3 or len(each) != 3 for each in (*parts, made)):
        return None
    batch, rows, columns = made
    inner = (set(parts[0]) & set(parts[1])) - {batch}
    if len(inner) != 1 or any(each[0] != batch for each in parts) or inner & set(made):
        return None
    (through,) = inner
    factors = dict(zip(parts, node.inputs, strict=True))
    left = next((each for each in parts if rows in each), None)
    right = next((each for each in parts if columns in each), None)
    if left is None or right is None or left == right:
        return None
    return [
        (factors[left], left != batch + rows + through),
        (factors[right], right != batch + through + columns),
    ]


def _turned(ir: Any, value: Any, *, name: str) -> Any:
    shape = None if value.shape is None else [value.shape[at] for at in (0, 2, 1)]
    made = ir.Value(
        name=name, shape=None if shape is None else ir.Shape(shape), type=ir.TensorType(value.dtype)
    )
    return ir.node("Transpose", [value], {"perm": [0, 2, 1]}, outputs=[made], name=f"turn_{name}")
