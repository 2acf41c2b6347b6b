"""What OpenVINO computes exactly, whatever the precision of a network, and how it is told so."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any  # OpenVINO ships no types: its objects are Any here

import numpy as np

from engines.backends.openvino_library import import_openvino

# Where a lower precision pays; what these make of a vector is not kept exact.
_HEAVY = ("MatMul", "Convolution", "ConvolutionBackpropData", "GroupConvolution")


def hold_exact(model: Any) -> set[str]:
    """Return the names of what is to be exact, after writing the model so that it can be."""
    return _hold_shapes(_computed_from_vectors(model)) | _picks(model)


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


def mark_exact(path: Path, names: set[str]) -> None:
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
