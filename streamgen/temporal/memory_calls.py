"""Asks the model for a batch in which some rows have memory; knows nothing of levels and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from streamgen.errors import ConfigError
from streamgen.lora.weights import Weights
from streamgen.temporal.moment import Moment
from streamgen.temporal.reading import Bank, Kind, Lease, Reading

#: What a row asks of the models that can give it, by the names of its controls.
_ASKED: Mapping[Kind, str] = {
    "bank": "bank_strength, bank_fusion above 0: these engines have no feature bank: give 0",
    "motion": "motion_strength above 0: these engines have no motion modules: give 0",
}

Kinds = frozenset[Kind]


class Unet(Protocol):
    """A model, as `streamgen.models.engines.Engines` gives it."""

    def unet(self, x: Tensor, t: Tensor, text: Tensor, cond: dict[str, Tensor]) -> Tensor: ...


class MemoryUnet(Protocol):
    """The networks of a model that have memory as well, one for each set of kinds."""

    def banks(self, kinds: Kinds) -> Mapping[Kind, Bank]:
        """Return those of `kinds` that one network reads, and no others, as far as it is there.

        What is missing is asked for; until it is built there are fewer of them, or none.
        """

    def __call__(self, kinds: Kinds, /, **values: Tensor) -> Mapping[str, Tensor]:
        """Return the answer and what is new, by name; values: what `unet` takes, and of the banks.

        Valid until the next call.
        """


@runtime_checkable
class HoldsWeights(Protocol):
    """Engines that draw with other weights than the model's own, as LoRAs make them."""

    def holding(self, weights: Weights) -> Unet:
        """Return the model with some weights."""


@runtime_checkable
class Remembers(Protocol):
    """A model that has such networks."""

    @property
    def memory(self) -> MemoryUnet: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A row of the batch, which one, with the banks that it reads, and its slots there."""

    number: int
    banks: Mapping[Kind, Bank]
    leases: Mapping[Kind, Lease]
    moments: Mapping[Kind, Moment]

    def shares(self, other: _Place) -> bool:
        """Tell whether two rows read the same slot."""
        return any(other.leases.get(kind) is lease for kind, lease in self.leases.items())


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    """Rows that are asked for in one call: of the same banks, and no slot comes twice."""

    banks: Mapping[Kind, Bank]
    places: list[_Place] = field(default_factory=list)

    def shares(self, other: _Place) -> bool:
        """Tell whether a row reads a slot that one of these does."""
        return any(place.shares(other) for place in self.places)


def denoiser_of(engines: Unet, weights: Weights | None) -> Unet:
    """Return the model with some weights; None for its own."""
    if weights is None:
        return engines
    if not isinstance(engines, HoldsWeights):
        raise ConfigError("loras: these engines hold none: give none")
    return engines.holding(weights)


def answer_of(
    engines: Unet,
    readings: Sequence[Mapping[Kind, Reading]],
    *,
    x: Tensor,
    t: Tensor,
    text: Tensor,
    cond: dict[str, Tensor],
) -> Tensor:
    """Return the model's answer to a batch, each row with its own memory of each kind, or none.

    Rows with memory of the same kinds are asked for together, and so are those without.
    """
    memory = _memory_of(engines, readings)
    turns = [] if memory is None else _turns(memory, readings)
    if memory is None or not turns:
        return engines.unet(x, t, text, cond)
    if len(turns[0].places) == len(x):
        # All rows at once, in their order: nothing is to be picked out.
        return _asked(memory, turns[0], {"x": x, "t": t, "text": text, **cond}).to(x)
    out = torch.empty_like(x)
    seen = {place.number for turn in turns for place in turn.places}
    if plain := [k for k in range(len(x)) if k not in seen]:
        out[plain] = engines.unet(x[plain], t[plain], text[plain], _at(cond, plain))
    for turn in turns:
        at = [place.number for place in turn.places]
        given = _at({"x": x, "t": t, "text": text, **cond}, at)
        out[at] = _asked(memory, turn, given).to(out)
    return out


def _asked(memory: MemoryUnet, turn: _Turn, given: Mapping[str, Tensor]) -> Tensor:
    """Return the answer to some rows, and have the banks keep what is new."""
    told: dict[str, Tensor] = {}
    rows: dict[Kind, tuple[list[Lease], list[Moment]]] = {}
    for kind, bank in turn.banks.items():
        leases = [place.leases[kind] for place in turn.places]
        rows[kind] = leases, [place.moments[kind] for place in turn.places]
        told |= bank.told(*rows[kind])
    made = memory(frozenset(turn.banks), **given, **told)
    for kind, bank in turn.banks.items():
        bank.keep(*rows[kind], made)
    return made["answer"]


def _memory_of(engines: Unet, readings: Sequence[Mapping[Kind, Reading]]) -> MemoryUnet | None:
    asked = [kind for kind in _ASKED if any(kind in each for each in readings)]
    if not asked:
        return None
    if not isinstance(engines, Remembers):
        raise ConfigError(_ASKED[asked[0]])
    return engines.memory


def _turns(memory: MemoryUnet, readings: Sequence[Mapping[Kind, Reading]]) -> list[_Turn]:
    """Return the rows that get memory, in calls that are to be made one after the other.

    Of two frames of one stream in a batch, the later one sees what the earlier has left.
    """
    turns: list[_Turn] = []
    for number, asked in enumerate(readings):
        place = _place(memory, number, asked)
        if not place.banks:
            continue
        first = max((k + 1 for k, turn in enumerate(turns) if turn.shares(place)), default=0)
        turn = next((turn for turn in turns[first:] if turn.banks == place.banks), None)
        if turn is None:
            turns.append(turn := _Turn(place.banks))
        turn.places.append(place)
    return turns


def _place(memory: MemoryUnet, number: int, asked: Mapping[Kind, Reading]) -> _Place:
    """Return a row with banks that one network reads, and where it has slots; none if need be."""
    kinds: Kinds = frozenset(asked)
    while kinds:
        banks = memory.banks(kinds)
        asks = {kind: bank.lease(asked[kind]) for kind, bank in banks.items()}
        leases = {kind: lease for kind, lease in asks.items() if lease is not None}
        if len(leases) == len(banks):
            return _Place(number, banks, leases, {kind: asked[kind].moment for kind in banks})
        # Where all slots of a bank are taken, the row goes with the others.
        kinds = frozenset(leases)
    return _Place(number, {}, {}, {})


def _at(values: dict[str, Tensor], places: list[int]) -> dict[str, Tensor]:
    return {name: each[places] for name, each in values.items()}
