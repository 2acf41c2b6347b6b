"""Half-wide graphs as ONNX Runtime can run them on a CPU: in fp32, rounded after each step.

It has no bf16 kernels at all. So every value of a half type is carried in fp32 and rounded to its
half wherever an operation made new digits; weights are rounded already.
"""

from __future__ import annotations

from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
)

from fake_tensorrt.graphs import element_types

HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
#: What only moves digits about.
_MOVING = """Reshape Transpose Concat Slice Split Gather Unsqueeze Squeeze Identity Expand Flatten
    Relu Constant ConstantOfShape Where Neg Tile"""
_EXACT = frozenset(_MOVING.split())
#: Attributes that name a type of what a node makes or computes in.
_TYPED = frozenset({"to", "dtype", "output_dtype", "softmax_precision"})


def widened(model: ModelProto) -> ModelProto:
    """Return a typed model that computes in fp32 what the given one computes in halves.

    Inputs and outputs keep their types; initializers of half types become fp32, by `full_name`.
    """
    kinds = element_types(model)
    if not any(kind in HALVES for kind in kinds.values()):
        return model
    made = ModelProto()
    made.CopyFrom(model)
    _widen(made.graph, kinds)
    return made


def full_name(name: str, kind: int) -> str:
    """Return the name that a value has in the widened graph where it is fp32."""
    return f"{name}/full" if kind in HALVES else name


def _widen(graph: GraphProto, kinds: dict[str, int]) -> None:
    kinds = kinds | {each.name: each.data_type for each in graph.initializer}
    nodes: list[NodeProto] = []
    for value in graph.input:
        if kinds.get(value.name, 0) in HALVES:
            nodes.append(_cast(value.name, full_name(value.name, kinds[value.name])))
    for node in graph.node:
        nodes.extend(_widened_node(node, kinds))
    for value in graph.output:
        kind = kinds.get(value.name, 0)
        if kind in HALVES:
            nodes.append(_cast(full_name(value.name, kind), value.name, to=kind))
    weights = [_widened_tensor(each) for each in graph.initializer]
    for field in ("node", "initializer", "value_info"):
        graph.ClearField(field)
    graph.node.extend(nodes)
    graph.initializer.extend(weights)


def _widened_node(node: NodeProto, kinds: dict[str, int]) -> list[NodeProto]:
    made = NodeProto()
    made.CopyFrom(node)
    for at, name in enumerate(node.input):
        made.input[at] = full_name(name, kinds.get(name, 0))
    for attribute in made.attribute:
        if attribute.name in _TYPED and attribute.i in HALVES:
            attribute.i = TensorProto.FLOAT
        elif attribute.type == AttributeProto.TENSOR and attribute.t.data_type in HALVES:
            attribute.t.CopyFrom(_widened_tensor(attribute.t))
        elif attribute.type == AttributeProto.GRAPH:
            _widen(attribute.g, kinds | element_types(helper.make_model(attribute.g)))
    after = []
    for at, name in enumerate(node.output):
        kind = kinds.get(name, 0)
        if kind not in HALVES:
            continue
        full = full_name(name, kind)
        made.output[at] = full
        if node.op_type not in _EXACT:
            made.output[at] = f"{name}/exact"
            after.append(_cast(f"{name}/exact", f"{name}/half", to=kind))
            after.append(_cast(f"{name}/half", full))
    return [made, *after]


def _widened_tensor(tensor: TensorProto) -> TensorProto:
    if tensor.data_type not in HALVES:
        return tensor
    values = numpy_helper.to_array(tensor).astype("float32")
    return numpy_helper.from_array(values, full_name(tensor.name, tensor.data_type))


def _cast(name: str, made: str, *, to: int = TensorProto.FLOAT) -> NodeProto:
    return helper.make_node("Cast", [name], [made], name=f"{made}/cast", to=to)
