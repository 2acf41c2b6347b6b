"""The weights of a module among the constants of OpenVINO's model of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any  # OpenVINO ships no types: its objects are Any here

import torch
from torch import Tensor, nn

from engines.backends.openvino_library import import_openvino
from engines.errors import EngineError
from engines.marking import located
from engines.swap import WeightPlaces


def converted_with_places(
    module: nn.Module, convert: Callable[[nn.Module], Any]
) -> tuple[Any, WeightPlaces]:
    """Return OpenVINO's model of a module, and where in it each of the weights is.

    convert: makes the model of a module that is like the one given, but for some weights.
    """
    made: list[Any] = []

    def build(stand_in: nn.Module) -> dict[str, Tensor]:
        made[:] = [convert(stand_in)]
        return _constants(made[0])

    found = located(module, build)
    (model,) = made
    put_weights(model, found.missing())
    return model, found.places


def put_weights(model: Any, values: Mapping[str, Tensor]) -> None:
    """Put new values in the place of the constants of these names.

    What else the model has keeps its name, and with it the mark of what is exact. Raises
    EngineError where it has no such constant.
    """
    ops = import_openvino().opset8
    nodes = {node.get_friendly_name(): node for node in filter(_holds_floats, model.get_ops())}
    if unknown := sorted(values.keys() - nodes.keys()):
        raise EngineError(f"openvino's model has no constant {unknown[0]!r} to put a weight into")
    for name, value in values.items():
        made = ops.constant(value.numpy())
        made.set_friendly_name(name)
        for reader in list(nodes[name].output(0).get_target_inputs()):
            reader.replace_source_output(made.output(0))


def _holds_floats(node: Any) -> bool:
    is_constant: bool = node.get_type_name() == "Constant"
    return is_constant and node.output(0).get_element_type().get_type_name() == "f32"


def _constants(model: Any) -> dict[str, Tensor]:
    """Return the constants by their names, which are made so that each has its own."""
    found: dict[str, Tensor] = {}
    for node in filter(_holds_floats, model.get_ops()):
        name = node.get_friendly_name()
        while name in found:
            name += "+"
        node.set_friendly_name(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of memory that is read-only: it is only read
            found[name] = torch.from_numpy(node.data)
    return found
