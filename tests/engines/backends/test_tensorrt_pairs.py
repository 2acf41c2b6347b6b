"""Where pairs of operations are put into a graph, and what is found to be wrong with them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from engines.backends.tensorrt_pairs import PairedLayer, pair_faults, put_pairs
from engines.errors import BuildError


def matrix(*, between=(), weight_taken_by=()):
    """Return a graph of one MatMul with the weight "w", and operations between the two."""
    nodes, name = [], "w"
    for kind in between:
        nodes.append(helper.make_node(kind, [name], [f"{name}_{kind}"]))
        name = f"{name}_{kind}"
    nodes.append(helper.make_node("MatMul", ["x", name], ["y"], name="heavy"))
    nodes += [helper.make_node(kind, ["w"], ["w2"], name=kind) for kind in weight_taken_by]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [3, 3]) for n in "xy"]
    weight = numpy_helper.from_array(np.linspace(-2, 2, 9, dtype="float32").reshape(3, 3), "w")
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def layer(**changes):
    weight = torch.linspace(-2, 2, 9).reshape(3, 3)
    told = {
        "name": "linear",
        "initializer": "w",
        "weight": weight,
        "axis": 1,
        "given": 3.0,
        "reach": weight.abs().amax(dim=0),
    }
    return PairedLayer(**{**told, **changes})


def operations(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_a_pair_is_put_on_the_input_and_the_weight_is_stored(precision):
    model = matrix()
    put_pairs(model, [layer()], precision)
    assert sorted(operations(model)) == sorted(
        ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "MatMul"]
    )
    onnx.checker.check_model(model, full_check=True)
    assert pair_faults(model, [layer()]) == ()
    stored = next(each for each in model.graph.initializer if each.name == "w_stored")
    assert len(stored.raw_data) == 9


def test_scales_are_of_the_channels_of_a_weight_and_one_for_the_input():
    model = matrix()
    put_pairs(model, [layer()], "int8")
    held = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    [scale] = [held[name] for name in held if name.startswith("x") and name.endswith("scale")]
    assert scale.shape == () and scale == pytest.approx(3 / 127)
    assert held["w_scale"] == pytest.approx([2 / 127, 1.5 / 127, 2 / 127], rel=1e-6)
    assert held["w_stored"].min() == -127


def test_a_weight_that_is_only_turned_on_its_way_is_found():
    model = matrix(between=["Transpose", "Identity"])
    put_pairs(model, [layer()], "fp8")
    assert pair_faults(model, [layer()]) == ()


def test_a_weight_that_others_take_too_is_refused_by_name():
    with pytest.raises(BuildError, match="linear: its weight is taken by Neg Neg"):
        put_pairs(matrix(weight_taken_by=["Neg"]), [layer()], "fp8")
    with pytest.raises(BuildError, match="linear: the graph has no weight other"):
        put_pairs(matrix(), [layer(initializer="other")], "fp8")
    with pytest.raises(BuildError, match=r"the graph's weight is \[3, 3\], the layer's \[2, 3\]"):
        put_pairs(matrix(), [layer(weight=torch.ones(2, 3))], "fp8")


def test_pairs_that_are_missing_half_there_or_too_many_are_found():
    plain, paired = matrix(), matrix()
    assert pair_faults(plain, [layer()]) == ("w is not quantised",)
    put_pairs(paired, [layer()], "int8")
    assert pair_faults(paired, []) == ("w is quantised, and should not be",)
    heavy = next(node for node in paired.graph.node if node.op_type == "MatMul")
    heavy.input[0] = "x"
    assert "MatMul heavy is quantised by half: not its input" in pair_faults(paired, [layer()])


def test_a_channel_of_zeros_has_a_scale_that_divides():
    model = matrix()
    dead = layer(weight=torch.zeros(3, 3), reach=torch.zeros(3))
    put_pairs(model, [dead], "int8")
    held = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    assert held["w_scale"].tolist() == [1, 1, 1]
    assert not held["w_stored"].any()
