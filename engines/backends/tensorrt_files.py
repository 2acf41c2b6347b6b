"""What lies in the folder of a network that TensorRT built; nothing here compiles or runs.

The plan itself, and what it was built as. Where weights are to be exchanged, also which of the
engine's weights is which of the module's, and the values that all of them were built with: a refit
may ask for more than the changed ones, and one that fails is undone with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any  # JSON; ONNX gives no types for its messages

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from engines.errors import ArtifactError
from engines.export import WEIGHTS_MAP
from engines.protocol import Artifact

PLAN = "model.plan"
BUILT = "built.json"
WEIGHTS = "weights.json"
BASE = "base.safetensors"
_FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a plan was built as; `attempt` counts from 1, the second has less time and memory."""

    computes_in: str
    tensorrt: str
    opset: int
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Where a weight of the module is in the engine; equal ones may be in one place."""

    place: str
    shape: list[int]
    transposed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weights by their names in the module.

    folded: those that the engine has no more. unused: those that nothing is computed from.
    """

    named: Mapping[str, Weight]
    folded: frozenset[str]
    unused: frozenset[str]


def write_built(built: Built, folder: Path) -> None:
    """Write what a plan was built as."""
    (folder / BUILT).write_text(json.dumps(asdict(built), indent=1), encoding="utf-8")


def read_built(artifact: Artifact) -> Built:
    """Return what a plan was built as, or raise ArtifactError."""
    try:
        return Built(**json.loads((artifact.folder / BUILT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{artifact.spec.role}: {BUILT} is no good: {error!r}") from error


def write_weights(model: Path, module: nn.Module, folder: Path) -> None:
    """Write the weights of an ONNX file, with the map that lies beside it, and their values."""
    told = json.loads(model.with_name(WEIGHTS_MAP).read_text(encoding="utf-8"))
    shapes = {name: list(value.shape) for name, value in module.state_dict().items()}
    places = told["weights"].items()
    named = {
        name: Weight(place=at["initializer"], shape=shapes[name], transposed=at["transposed"])
        for name, at in places
        if name in shapes
    }
    unused = shapes.keys() & set(told["unused"])
    kept = {
        "named": {name: asdict(weight) for name, weight in named.items()},
        "folded": sorted(shapes.keys() - named.keys() - unused),
        "unused": sorted(unused),
    }
    (folder / WEIGHTS).write_text(json.dumps(kept, indent=1), encoding="utf-8")
    save_file(_floats(model), folder / BASE)


def read_weights(artifact: Artifact) -> Weights:
    """Return the weights by name, or raise ArtifactError."""
    try:
        told = json.loads((artifact.folder / WEIGHTS).read_text(encoding="utf-8"))
        named = {name: Weight(**each) for name, each in told["named"].items()}
        folded, unused = (frozenset(told[kind]) for kind in ("folded", "unused"))
        return Weights(named=named, folded=folded, unused=unused)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{artifact.spec.role}: {WEIGHTS} is no good: {error!r}") from error


def base_values(artifact: Artifact, places: set[str]) -> dict[str, Tensor]:
    """Return the values that these places were built with, on the CPU; those that are known."""
    try:
        with safe_open(artifact.folder / BASE, framework="pt") as stored:
            known = places.intersection(stored.keys())
            return {place: stored.get_tensor(place) for place in known}
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{artifact.spec.role}: {BASE} is no good: {error}") from error


def _floats(model: Path) -> dict[str, Tensor]:
    onnx: Any = import_module("onnx")
    kinds = [onnx.TensorProto.DataType.Value(name) for name in _FLOATS]
    stored = onnx.load(model).graph.initializer
    return {each.name: _tensor(onnx, each) for each in stored if each.data_type in kinds}


def _tensor(onnx: Any, stored: Any) -> Tensor:
    array = np.array(onnx.numpy_helper.to_array(stored))  # its own copy, which may be written to
    if stored.data_type == onnx.TensorProto.BFLOAT16:  # numpy itself has no such type
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)
