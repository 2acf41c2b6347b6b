"""Which constants of a built network hold which weight of its module, to put new values there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any  # what JSON holds is anything

import torch
from torch import Tensor

from engines.errors import ArtifactError, SpecMismatch, SwapUnsupported
from engines.protocol import Artifact

PLACES = "weight_places.json"


def check_delta(
    delta: Mapping[str, Tensor], shapes: Mapping[str, Sequence[int]], *, role: str
) -> None:
    """Raise SpecMismatch for new values of which a network has no weight, or one of another shape.

    shapes: of its weights by name. What every backend asks before it changes anything.
    """
    for name, value in delta.items():
        if name not in shapes:
            raise SpecMismatch(f"{role}: no weight {name!r} to swap")
        if list(value.shape) != list(shapes[name]):
            told = f"{list(value.shape)}; required: {list(shapes[name])}"
            raise SpecMismatch(f"{role}: weight {name!r} has shape {told}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A constant that holds a weight, in its own shape and dtype; of two dimensions maybe turned.

    constant: its name in the built network.
    """

    constant: str
    shape: list[int]
    dtype: str = "float32"
    is_turned: bool = False

    def put(self, value: Tensor) -> Tensor:
        """Return a value as the constant holds it, on the CPU, in memory of its own."""
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        turned = value.detach().t() if self.is_turned else value.detach()
        return torch.empty(self.shape, dtype=dtype).copy_(turned.reshape(self.shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWeight:
    """The shape of a weight in the module, and its places; none where it is part of others."""

    shape: list[int]
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightPlaces:
    """All weights of a built network by their names in the module."""

    weights: Mapping[str, KnownWeight]

    def put(self, delta: Mapping[str, Tensor], *, role: str) -> dict[str, Tensor]:
        """Return new values by the names of the constants.

        Raises SpecMismatch for a name or a shape that no weight has, SwapUnsupported for a weight
        without a place of its own.
        """
        check_delta(delta, {name: known.shape for name, known in self.weights.items()}, role=role)
        for name in delta:
            if not self.weights[name].places:
                raise SwapUnsupported(
                    f"{role}: weight {name!r} has no place of its own in the built network:"
                    " compile the changed module instead"
                )
        placed: dict[str, Tensor] = {}
        for name, value in delta.items():
            for place in self.weights[name].places:
                put = place.put(value)
                if not bool(torch.isfinite(put).all()) and bool(torch.isfinite(value).all()):
                    raise SpecMismatch(f"{role}: weight {name!r} is beyond {place.dtype}")
                placed[place.constant] = put
        return placed

    def write(self, folder: Path) -> None:
        """Write them into the folder of an artifact."""
        told = {name: asdict(weight) for name, weight in self.weights.items()}
        (folder / PLACES).write_text(json.dumps(told, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, artifact: Artifact) -> WeightPlaces:
        """Read what was written; ArtifactError where it is no good."""
        try:
            told = json.loads((artifact.folder / PLACES).read_text(encoding="utf-8"))
            weights = {name: _known(each) for name, each in told.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{artifact.spec.role}: {PLACES} is no good: {error!r}") from error
        return cls(weights=weights)


def _known(told: Mapping[str, Any]) -> KnownWeight:
    return KnownWeight(
        shape=list(told["shape"]), places=tuple(Place(**each) for each in told["places"])
    )
