"""ONNX graphs: types of their values, what the parser refuses, which weights go together.

Sources: docs/operators.md and ModelImporter.cpp of onnx/onnx-tensorrt at 10.1 (operators, uint8),
NvInferRuntimeBase.h of NVIDIA/TensorRT at 11.1 (conversions from and to uint8).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any  # ONNX gives no types for its messages

import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from fake_tensorrt.enums import DataType

TYPES = {
    TensorProto.FLOAT: DataType.FLOAT,
    TensorProto.FLOAT16: DataType.HALF,
    TensorProto.BFLOAT16: DataType.BF16,
    TensorProto.INT8: DataType.INT8,
    TensorProto.INT32: DataType.INT32,
    TensorProto.INT64: DataType.INT64,
    TensorProto.BOOL: DataType.BOOL,
    TensorProto.UINT8: DataType.UINT8,
    TensorProto.FLOAT8E4M3FN: DataType.FP8,
}
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
#: Oldest opset of the parsers, and the newest by major version.
OLDEST, NEWEST = 9, {10: 24, 11: 25}
_WITHOUT = """AffineGrid Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    BlackmanWindow Col2Im CenterCropPad Compress ConcatFromSequence ConvInteger DFT Det
    DynamicQuantizeLinear HammingWindow HannWindow ImageDecoder MatMulInteger MaxRoiPool MaxUnpool
    MelWeightMatrix Multinomial NegativeLogLikelihoodLoss Optional OptionalGetElement
    OptionalHasElement QLinearConv QLinearMatMul RegexFullMatch STFT SequenceAt SequenceConstruct
    SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap SoftmaxCrossEntropyLoss
    SplitToSequence StringConcat StringNormalizer StringSplit TfIdfVectorizer Unique"""
UNSUPPORTED = frozenset(_WITHOUT.split())
#: Their weights are numbers of the plan, not weights that can be exchanged.
_SETTINGS = frozenset(
    ["Resize", "Upsample", "Clip", "Pad", "Range", "TopK", "QuantizeLinear", "DequantizeLinear"]
)
#: Kernel and bias, or scale and bias, end in one piece of memory of the engine.
_COMBINED = frozenset(["Conv", "ConvTranspose", "Gemm", "GroupNormalization", "LayerNormalization"])


def typed(model: ModelProto) -> ModelProto:
    """Return the model with the type of every value; raises where types do not go together."""
    onnx.checker.check_model(model, full_check=True)
    found: ModelProto = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    return found


def element_types(model: ModelProto) -> dict[str, int]:
    """Return the element type of each value of a typed model, by name."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    return kinds | {each.name: each.data_type for each in graph.initializer}


def faults(model: ModelProto, newest: int) -> Iterator[tuple[int, NodeProto | None, str, str]]:
    """Tell what the parser would refuse: index of the node, the node, its error code, and why."""
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and not OLDEST <= opset.version <= newest:
            why = f"opset {opset.version} is not in {OLDEST} to {newest}"
            yield -1, None, "UNSUPPORTED_GRAPH", why
    kinds = element_types(model)
    outputs = {value.name for value in model.graph.output}
    shifts = {each.name for each in model.graph.initializer if numpy_helper.to_array(each).any()}
    for value in (*model.graph.input, *model.graph.output):
        if kinds[value.name] not in TYPES:
            yield -1, None, "UNSUPPORTED_GRAPH", f"the type of {value.name} is not supported"
    for at, node in enumerate(model.graph.node):
        if node.op_type in UNSUPPORTED or node.domain not in ("", "ai.onnx"):
            yield at, node, "UNSUPPORTED_NODE", f"no importer for {node.domain}{node.op_type}"
        for name in node.output:
            if kinds.get(name) == TensorProto.UINT8 and name not in outputs:
                why = "TensorRT does not support UINT8 types for intermediate tensors!"
                yield at, node, "UNSUPPORTED_NODE", why
        if node.op_type.endswith("QuantizeLinear") and shifts.intersection(node.input[2:]):
            yield at, node, "UNSUPPORTED_NODE", "the zero point of a quantised tensor must be 0"
        yield from _conversions(at, node, kinds)


def _conversions(
    at: int, node: NodeProto, kinds: dict[str, int]
) -> Iterator[tuple[int, NodeProto, str, str]]:
    """Find bytes that are anything but cast from or to FLOAT or HALF, at the edge."""
    given = [kinds.get(name) for name in node.input]
    made = [kinds.get(name) for name in node.output]
    if TensorProto.UINT8 not in given + made:
        return
    others = {kind for kind in given + made if kind != TensorProto.UINT8}
    if node.op_type != "Cast":
        yield at, node, "UNSUPPORTED_NODE", "UINT8 tensors can only be cast"
    elif not others <= {TensorProto.FLOAT, TensorProto.FLOAT16}:
        why = "UINT8 conversions are only supported for FLOAT and HALF"
        yield at, node, "UNSUPPORTED_NODE_DATATYPE", why


def refittable(model: ModelProto) -> dict[str, TensorProto]:
    """Return the initializers that a refittable engine can take anew, by name."""
    settings = {n for node in model.graph.node if node.op_type in _SETTINGS for n in node.input}
    return {
        each.name: each
        for each in model.graph.initializer
        if each.data_type in FLOATS and each.name not in settings
    }


def combined(model: ModelProto) -> list[set[str]]:
    """Return the names of weights that can only be exchanged together, two or more in each."""
    weights = refittable(model).keys()
    groups: list[set[str]] = []
    by_input = {name: node for node in model.graph.node for name in node.input}
    for node in model.graph.node:
        names = {name for name in node.input if name in weights}
        if node.op_type == "MatMul" and names:
            after = by_input.get(node.output[0])
            names |= {n for n in after.input if n in weights} if _is_add(after) else set()
        elif node.op_type not in _COMBINED:
            continue
        near = [group for group in groups if group & names]
        groups = [group for group in groups if not group & names]
        groups.append(names.union(*near))
    return [group for group in groups if len(group) > 1]


def _is_add(node: Any) -> bool:
    return node is not None and node.op_type == "Add"
