"""What is wrong with an ONNX graph for a compiler that takes types as they are written.

Knows the operations and types that TensorRT's parser takes (onnx-tensorrt, docs/operators.md of
TensorRT 10.15), so that a graph is refused by name here, where no TensorRT is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from typing import Any  # ONNX gives no types for its messages

from engines.spec import EngineSpec, TensorSpec

#: Multiply and add: what a precision is asked for.
_HEAVY = ("Conv", "ConvTranspose", "MatMul", "Gemm", "Attention")
_COMPUTED_IN = {"fp32": "FLOAT", "fp16": "FLOAT16", "bf16": "BFLOAT16"}
_HALVES = ("FLOAT16", "BFLOAT16")
_FLOATS = ("FLOAT", *_HALVES)
_TYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "float32": "FLOAT",
    "float16": "FLOAT16",
    "bfloat16": "BFLOAT16",
}
# Inputs, by their place, that are of another type than the first by definition.
_OF_THEIR_OWN = {"Resize": (1, 2), "CastLike": (1,), "QuantizeLinear": (1,)}
# Of a timestep of 999 a half keeps no tenths of a radian.
_EXACT = ("Sin", "Cos")
_QUANTISE, _DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
_DOMAINS = ("", "ai.onnx", "trt")
_ABSENT = re.compile(
    r"AffineGrid|Bernoulli|Bit(Shift|wise\w+)|CenterCropPad|Col2Im|Compress|ConcatFromSequence"
    r"|(Conv|MatMul)Integer|DFT|Det|DynamicQuantizeLinear|ImageDecoder|Max(RoiPool|Unpool)"
    r"|MelWeightMatrix|Multinomial|(NegativeLogLikelihood|SoftmaxCrossEntropy)Loss|Optional\w*"
    r"|QLinear(Conv|MatMul)|RegexFullMatch|Sequence\w+|SplitToSequence|String\w+|TfIdfVectorizer"
    r"|Unique"
)


def faults(model: Any, spec: EngineSpec) -> tuple[str, ...]:
    """Return a sentence for each thing that is not as the specification says; () if all is well.

    model: an onnx.ModelProto with its names as in the specification; weights need no content.
    """
    return tuple(_Lint(model, spec).found())


class _Lint:
    """One graph, with the types of its values."""

    def __init__(self, model: Any, spec: EngineSpec) -> None:
        self._onnx: Any = import_module("onnx")
        self._graph = model.graph
        self._spec = spec
        self._types = self._types_of(model)
        self._readers: dict[str, list[Any]] = defaultdict(list)
        self._makers: dict[str, Any] = {}
        for node in self._graph.node:
            self._makers.update(dict.fromkeys(node.output, node))
            for name in node.input:
                self._readers[name].append(node)

    def found(self) -> Iterator[str]:
        yield from self._ports("input", self._graph.input, self._spec.inputs)
        yield from self._ports("output", self._graph.output, self._spec.outputs)
        for node in self._graph.node:
            for told in (
                *self._unknown(node),
                *self._mixed(node),
                *self._computed_elsewhere(node),
                *self._inexact(node),
                *self._bytes(node),
                *self._signed_bytes(node),
                *self._half_quantised(node),
            ):
                yield f"{node.op_type} {(node.name or node.output[0])!r} {told}"

    def _types_of(self, model: Any) -> dict[str, str]:
        graph = model.graph
        typed = (*graph.input, *graph.output, *graph.value_info)
        kinds = {value.name: value.type.tensor_type.elem_type for value in typed}
        kinds |= {value.name: value.data_type for value in graph.initializer}
        if any(name and not kinds.get(name) for node in graph.node for name in node.output):
            kinds = self._inferred(model) | kinds
        name_of = self._onnx.TensorProto.DataType.Name
        return {name: name_of(kind) for name, kind in kinds.items() if kind}

    def _inferred(self, model: Any) -> dict[str, int]:
        """Return the types of all values; of the weights only types are copied for it."""
        light = self._onnx.ModelProto()
        light.opset_import.extend(model.opset_import)
        light.ir_version = model.ir_version
        light.graph.node.extend(model.graph.node)
        light.graph.input.extend(model.graph.input)
        for value in model.graph.initializer:
            tensor = light.graph.input.add(name=value.name).type.tensor_type
            tensor.elem_type = value.data_type
            for side in value.dims:
                tensor.shape.dim.add(dim_value=side)
        told = self._onnx.shape_inference.infer_shapes(light).graph
        return {value.name: value.type.tensor_type.elem_type for value in told.value_info}

    def _ports(self, way: str, values: Any, required: tuple[TensorSpec, ...]) -> Iterator[str]:
        found = [value.name for value in values]
        names = [tensor.name for tensor in required]
        if found != names:
            yield f"the {way}s are {', '.join(found)}; required: {', '.join(names)}"
            return
        for value, tensor in zip(values, required, strict=True):
            kind = self._types.get(value.name)
            sides = [side.dim_value or None for side in value.type.tensor_type.shape.dim]
            shape = [side if isinstance(side, int) else None for side in tensor.shape]
            free = any(side.least == side.most for side in tensor.ranges)
            if kind != _TYPES[tensor.dtype_name] or (sides != shape and not free):
                yield f"the {way} {value.name!r} is {kind} {sides}; required: {tensor}"

    def _unknown(self, node: Any) -> Iterator[str]:
        if node.domain not in _DOMAINS:
            yield f"is of the domain {node.domain!r}, which TensorRT's parser does not know"
        elif _ABSENT.fullmatch(node.op_type):
            yield "is an operation that TensorRT's parser lacks"
        elif any(each.type == self._onnx.AttributeProto.GRAPH for each in node.attribute):
            yield "holds a graph of its own, whose types nobody looks over"

    def _mixed(self, node: Any) -> Iterator[str]:
        apart = _OF_THEIR_OWN.get(node.op_type, ())
        if node.op_type == _DEQUANTISE:
            return
        given = {self._type(name) for at, name in enumerate(node.input) if at not in apart}
        kinds = [kind for kind in (*_FLOATS, "DOUBLE") if kind in given]
        if len(kinds) > 1:
            yield f"mixes {' and '.join(kinds)}"
        if "DOUBLE" in kinds:
            yield "computes in DOUBLE, which TensorRT makes float32"

    def _computed_elsewhere(self, node: Any) -> Iterator[str]:
        wanted = _COMPUTED_IN.get(self._spec.precision)
        if node.op_type not in _HEAVY or wanted is None:
            return
        found = self._type(node.output[0])
        if found != wanted:
            yield f"computes in {found or 'an unknown type'}; required: {wanted}"
        if node.op_type == "Attention" and len([name for name in node.output if name]) > 1:
            yield "gives more than its result, which TensorRT cannot"

    def _inexact(self, node: Any) -> Iterator[str]:
        kind = self._type(node.output[0])
        if kind not in _HALVES:
            return
        if node.op_type in _EXACT:
            yield f"is of a timestep, and computes in {kind}; required: FLOAT"
        if node.op_type == "InstanceNormalization":
            yield f"has its statistics in {kind}; required: FLOAT"
        stash = [each.i for each in node.attribute if each.name == "stash_type"]
        if stash and stash != [self._onnx.TensorProto.FLOAT]:
            told = self._onnx.TensorProto.DataType.Name(stash[0])
            yield f"has its statistics in {told}; required: FLOAT"

    def _bytes(self, node: Any) -> Iterator[str]:
        if node.op_type in (_QUANTISE, _DEQUANTISE):
            return
        given = [name for name in node.input if self._type(name) == "UINT8"]
        made = [name for name in node.output if self._type(name) == "UINT8"]
        if not given and not made:
            return
        if node.op_type != "Cast":
            yield "takes or gives UINT8, which TensorRT has only as inputs and outputs"
            return
        (other,) = node.output if given else node.input
        if self._type(other) not in ("FLOAT", "FLOAT16"):
            yield f"casts between UINT8 and {self._type(other)}; TensorRT can FLOAT and FLOAT16"

    def _signed_bytes(self, node: Any) -> Iterator[str]:
        if node.op_type in (_QUANTISE, _DEQUANTISE):
            return
        edges = {value.name for value in (*self._graph.input, *self._graph.output)}
        touched = edges.intersection((*node.input, *node.output))
        if any(self._type(name) == "INT8" for name in touched):
            yield "takes or gives INT8, which TensorRT has only as what is quantised"

    def _half_quantised(self, node: Any) -> Iterator[str]:
        if node.op_type == _QUANTISE:
            readers = [each.op_type for each in self._readers[node.output[0]]]
            is_given = any(value.name == node.output[0] for value in self._graph.output)
            if set(readers) != ({_DEQUANTISE} if not is_given else set()):
                told = ", ".join(sorted(set(readers))) or "nothing"
                yield f"is read by {told}; required: {_DEQUANTISE}"
        if node.op_type == _DEQUANTISE:
            maker = self._makers.get(node.input[0])
            given = (*self._graph.initializer, *self._graph.input)
            stored = any(value.name == node.input[0] for value in given)
            if not stored and (maker is None or maker.op_type != _QUANTISE):
                yield f"reads what is neither stored, given, nor made by {_QUANTISE}"

    def _type(self, name: str) -> str | None:
        return self._types.get(name)
