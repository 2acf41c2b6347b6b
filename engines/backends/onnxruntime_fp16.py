"""ONNX files rewritten to compute in half precision; knows nothing of running them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any  # ONNX gives no types for its messages

#: Where a file tells its precision; without it, that is fp32.
COMPUTES_IN = "computes_in"
_ONE_FILE_BYTES = 1_500_000_000
# What these make of a vector need not be exact any more.
_HEAVY = ("MatMul", "Gemm", "Conv", "ConvTranspose", "Attention")
# Inputs, by their place, that are fp32 whatever the others are.
_ALWAYS_FLOAT = {"Resize": (1, 2)}


def rewriter_hash() -> str:
    """Hash this file: what it writes is another artifact as soon as it is changed."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def rewrite_in_fp16(path: Path) -> None:
    """Rewrite a file of fp32 weights; its inputs and outputs keep their types.

    What is computed from scalars and vectors alone stays fp32, up to a heavy operation: in fp16 a
    timestep of 999 times a frequency is off by tenths of a radian.
    """
    onnx: Any = import_module("onnx")
    model = onnx.load(path)
    _Halver(onnx, model.graph).rewrite()
    onnx.helper.set_model_props(model, {COMPUTES_IN: "fp16"})
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)
    large = model.ByteSize() > _ONE_FILE_BYTES
    location = f"{path.name}.data" if large else None
    onnx.save_model(model, path, save_as_external_data=large, location=location)
    onnx.checker.check_model(str(path), full_check=True)


class _Halver:
    """One graph on its way to half precision: which of its values are halves by now."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx = onnx
        self._graph = graph
        self._float, self._half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
        typed = (*graph.input, *graph.output, *graph.value_info)
        self._floats = {v.name for v in typed if v.type.tensor_type.elem_type == self._float}
        self._floats |= {v.name for v in graph.initializer if v.data_type == self._float}
        self._halves: set[str] = set()
        self._cast: dict[str, str] = {}

    def rewrite(self) -> None:
        exact = set(_computed_from_vectors(self._graph))
        outputs = {value.name for value in self._graph.output} & self._floats
        nodes: list[Any] = []
        for node in list(self._graph.node):
            is_exact = node.name in exact or self._makes_floats(node)
            nodes += self._inputs(node, exact=is_exact)
            nodes.append(node)
            if not is_exact:
                nodes += self._outputs(node, outputs)
        del self._graph.node[:], self._graph.value_info[:]
        self._graph.node.extend(nodes)
        self._halve_weights()

    def _makes_floats(self, node: Any) -> bool:
        """Tell whether floats come from other things, by another operation than a cast."""
        return node.op_type != "Cast" and not self._floats.intersection(node.input)

    def _inputs(self, node: Any, *, exact: bool) -> Iterator[Any]:
        """Give a node floats of its own kind, by way of the casts that are yielded."""
        kept = range(len(node.input)) if exact else _ALWAYS_FLOAT.get(node.op_type, ())
        for at, name in enumerate(node.input):
            if name not in self._floats or (name in self._halves) != (at in kept):
                continue
            if name not in self._cast:
                self._cast[name] = f"{name}__{'float' if at in kept else 'half'}"
                kind = self._float if at in kept else self._half
                yield self._cast_node(name, self._cast[name], kind)
            node.input[at] = self._cast[name]

    def _outputs(self, node: Any, outputs: set[str]) -> Iterator[Any]:
        """Note that a node makes halves; those that the graph gives out are yielded as floats."""
        if node.op_type == "Cast":
            for attribute in node.attribute:
                if attribute.name == "to" and attribute.i == self._float:
                    attribute.i = self._half
        for at, name in enumerate(node.output):
            if name not in self._floats:
                continue
            if name in outputs:
                node.output[at] = self._cast[name] = f"{name}__half"
                yield self._cast_node(node.output[at], name, self._float)
            else:
                self._halves.add(name)

    def _cast_node(self, name: str, target: str, kind: int) -> Any:
        return self._onnx.helper.make_node("Cast", [name], [target], name=target, to=kind)

    def _halve_weights(self) -> None:
        """Store those weights as halves that are used as nothing else; drop their casts."""
        readers: dict[str, list[Any]] = {}
        for node in self._graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        for value in self._graph.initializer:
            target = self._cast.get(value.name)
            casts = [node for node in readers.get(value.name, ()) if [target] == list(node.output)]
            if not casts or len(readers[value.name]) > 1:
                continue
            array = self._onnx.numpy_helper.to_array(value).astype("float16")
            value.CopyFrom(self._onnx.numpy_helper.from_array(array, value.name))
            self._graph.node.remove(casts[0])
            for node in readers[target] if target else ():
                named = [value.name if name == target else name for name in node.input]
                node.input[:] = named


def _computed_from_vectors(graph: Any) -> Iterator[str]:
    constants = {each.name for each in graph.initializer}
    vectors = {each.name for each in graph.input if len(each.type.tensor_type.shape.dim) < 2}
    for node in graph.node:
        given = {name for name in node.input if name}
        if given <= constants:
            constants.update(node.output)
            yield node.name
        elif given <= vectors | constants and node.op_type not in _HEAVY:
            vectors.update(node.output)
            yield node.name
