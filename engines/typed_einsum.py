"""Einsums of a graph written as matrix products, which ONNX has in every float type.

ONNX has Einsum for no bf16 up to opset 24, and compilers know MatMul better anyhow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any  # onnx_ir's values are Any here, it is imported late


def multiply_matrices(graph: Any) -> None:
    """Rewrite the einsums of a graph of onnx_ir that are products of matrices, one by one or many.

    Others are left as they are, for the checker or `typed_lint` to name.
    """
    ir: Any = import_module("onnx_ir")
    for node in list(graph):
        product = _product(node) if node.op_type == "Einsum" else None
        if product is None:
            continue
        made = node.outputs[0]
        name, made.name = made.name, f"{made.name}_einsum"
        writer = _Writer(ir, graph, node, name)
        left, right = (
            writer.laid_out(value, letters, groups, product.sizes)
            for value, letters, groups in (
                (product.values[0], product.letters[0], product.left),
                (product.values[1], product.letters[1], product.right),
            )
        )
        result = writer.multiplied(left, right, product)
        ir.convenience.replace_all_uses_with(made, result, replace_graph_outputs=True)
        graph.remove(node, safe=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Product:
    """An einsum of two factors, in the order of the product, as matrices for each of a batch.

    letters: of both factors. batch: in both and in what is made; rows, columns: of one factor each;
    inner: what is summed over. sizes: by letter, None where it is not known.
    """

    values: tuple[Any, Any]
    letters: tuple[str, str]
    made: str
    batch: str
    rows: str
    columns: str
    inner: str
    sizes: Mapping[str, int | None]

    @property
    def left(self) -> tuple[str, str, str]:
        return self.batch, self.rows, self.inner

    @property
    def right(self) -> tuple[str, str, str]:
        return self.batch, self.inner, self.columns


def _product(node: Any) -> _Product | None:
    """Return what an einsum multiplies; None where that is no product of matrices."""
    equation = node.attributes["equation"].as_string().replace(" ", "")
    given, _, made = equation.partition("->")
    parts, values = given.split(","), list(node.inputs)
    if not _is_product(parts, made):
        return None
    if made[-1:] in set(parts[0]) - set(parts[1]):
        # Last in what is made are columns: nothing is to be turned then.
        parts, values = parts[::-1], values[::-1]
    left, right = map(set, parts)
    batch, rows, columns = (
        "".join(letter for letter in made if letter in kind)
        for kind in (left & right, left - right, right - left)
    )
    inner = "".join(letter for letter in parts[0] if letter in right - set(made))
    sizes = _sizes(parts, values)
    if None in sizes.values() and any(len(group) != 1 for group in (rows, columns, inner)):
        return None  # sides that are not known cannot be made one
    return _Product(
        values=(values[0], values[1]),
        letters=(parts[0], parts[1]),
        made=made,
        batch=batch,
        rows=rows,
        columns=columns,
        inner=inner,
        sizes=sizes,
    )


def _is_product(parts: Sequence[str], made: str) -> bool:
    """Tell whether what is summed over is in both of two factors, and nothing else left out."""
    if len(parts) != 2 or any(
        "." in each or len(set(each)) != len(each) for each in (*parts, made)
    ):
        return False
    left, right = map(set, parts)
    return left ^ right <= set(made) < left | right


def _sizes(parts: Sequence[str], values: Sequence[Any]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for letters, value in zip(parts, values, strict=True):
        sides = [None] * len(letters) if value.shape is None else list(value.shape)
        for letter, side in zip(letters, sides, strict=True):
            found[letter] = side if isinstance(side, int) else found.get(letter)
    return found


class _Writer:
    """Writes operations before a node, each named after what the node makes."""

    def __init__(self, ir: Any, graph: Any, node: Any, name: str) -> None:
        self._ir = ir
        self._graph = graph
        self._node = node
        self._name = name
        self._count = 0

    def laid_out(
        self, value: Any, letters: str, groups: Sequence[str], sizes: Mapping[str, int | None]
    ) -> Any:
        """Return a factor as matrices: its batch, and then two groups of sides, each as one."""
        batch, *pair = groups
        value = self._turned(value, letters, "".join(groups))
        if all(len(group) == 1 for group in pair):
            return value
        return self._reshaped(value, [_side(sizes, each) for each in (*batch, *pair)])

    def multiplied(self, left: Any, right: Any, product: _Product) -> Any:
        """Return the product of two factors, in the order of sides that the einsum has."""
        batch, rows, columns = product.batch, product.rows, product.columns
        sides = [_side(product.sizes, each) for each in (*batch, rows, columns)]
        made = self._add("MatMul", [left, right], sides)
        apart = batch + rows + columns
        if len(rows) != 1 or len(columns) != 1:
            made = self._reshaped(made, [_side(product.sizes, each) for each in apart])
        made = self._turned(made, apart, product.made)
        made.name = self._name
        return made

    def _turned(self, value: Any, letters: str, wanted: str) -> Any:
        if letters == wanted:
            return value
        order = [letters.index(letter) for letter in wanted]
        sides = None if value.shape is None else [value.shape[at] for at in order]
        return self._add("Transpose", [value], sides, {"perm": order})

    def _reshaped(self, value: Any, sides: Sequence[int | None]) -> Any:
        ir = self._ir
        name = f"{self._name}_sides_{self._count}"
        told = ir.tensor(list(sides), dtype=ir.DataType.INT64, name=name)
        shape = ir.Value(name=name, shape=told.shape, type=ir.TensorType(told.dtype))
        shape.const_value = told
        self._graph.register_initializer(shape)
        return self._add("Reshape", [value, shape], sides)

    def _add(
        self,
        kind: str,
        given: Sequence[Any],
        sides: Sequence[Any] | None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Any:
        ir, name = self._ir, f"{self._name}_{kind.lower()}_{self._count}"
        self._count += 1
        shape = None if sides is None else ir.Shape(sides)
        made = ir.Value(name=name, shape=shape, type=ir.TensorType(given[0].dtype))
        node = ir.node(kind, given, attributes or {}, outputs=[made], name=f"node_{name}")
        self._graph.insert_before(self._node, node)
        return made


def _side(sizes: Mapping[str, int | None], letters: str) -> int | None:
    """Return the size of sides as one; of none of them it is 1."""
    found = [sizes[letter] for letter in letters]
    return math.prod(each for each in found if each is not None) if None not in found else None
