"""The weights of a module among the initializers of an ONNX file, and how they lie beside it.

ONNX Runtime takes other values for initializers that are not in the file itself, before it
optimises the graph. (Those given by `add_initializer` come too late: version 1.31.1 lays out the
weights of a convolution before, and goes on with the old ones without a word.)
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any  # ONNX gives no types for its messages

import torch
from torch import Tensor, nn

from engines.export import is_program
from engines.marking import Located, located, marking_hash
from engines.swap import WeightPlaces


def weights_hash() -> str:
    """Hash this file and what it finds weights with: changed, they write another artifact."""
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return hashlib.sha256(f"{own} {marking_hash()}".encode()).hexdigest()


def written_with_places(
    module: nn.Module, path: Path, write: Callable[[nn.Module], None]
) -> Located:
    """Have a module written as ONNX, and find its weights in the file; it is put in eval mode.

    write: writes the file for a module that is like this one, but for some weights. What those are
    is for `finish` to put right.
    """
    if not is_program(module):
        module.eval()

    def build(stand_in: nn.Module) -> dict[str, Tensor]:
        write(stand_in)
        return _floats(_load(path).graph)

    return located(module, build)


def finish(path: Path, written: Located) -> None:
    """Give a file the weights that it should have, and lay all of them beside it.

    The types of the weights may have been changed since it was written.
    """
    onnx: Any = import_module("onnx")
    external: Any = import_module("onnx.external_data_helper")
    model = _load(path)
    dtypes = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16"}
    held = {each.name: each for each in model.graph.initializer}
    weights = {
        name: replace(
            weight,
            places=tuple(
                replace(place, dtype=dtypes[held[place.constant].data_type])
                for place in weight.places
            ),
        )
        for name, weight in written.places.weights.items()
    }
    places = WeightPlaces(weights=weights)
    for constant, value in Located(places=places, marked=written.marked).missing().items():
        made = onnx.numpy_helper.from_array(value.numpy(), constant)
        held[constant].CopyFrom(made)
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)
    for constant in {place.constant for weight in weights.values() for place in weight.places}:
        external.set_external_data(held[constant], data.name)
    onnx.save_model(model, path)
    places.write(path.parent)


def _load(path: Path) -> Any:
    onnx: Any = import_module("onnx")
    return onnx.load(path)


def _floats(graph: Any) -> dict[str, Tensor]:
    onnx: Any = import_module("onnx")
    floats = [each for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of memory that is read-only: it is only read
        arrays = {each.name: onnx.numpy_helper.to_array(each) for each in floats}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
