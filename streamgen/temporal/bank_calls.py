"""Asks the model for a batch in which some rows have memory; knows nothing of levels and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from streamgen.errors import ConfigError
from streamgen.lora.weights import Weights
from streamgen.temporal.bank import FeatureBank, Lease, Reading
from streamgen.temporal.moment import Moment


class Unet(Protocol):
    """A model, as `streamgen.models.engines.Engines` gives it."""

    def unet(self, x: Tensor, t: Tensor, text: Tensor, cond: dict[str, Tensor]) -> Tensor: ...


class MemoryUnet(Protocol):
    """The network of a model that has memory as well."""

    def bank(self) -> FeatureBank | None:
        """Return the bank that it reads, None while it is still being built."""

    def __call__(self, **values: Tensor) -> Mapping[str, Tensor]:
        """Return the answer and what is new, by name; values: what `unet` takes, and of the bank.

        Valid until the next call.
        """


@runtime_checkable
class HoldsWeights(Protocol):
    """Engines that draw with other weights than the model's own, as LoRAs make them."""

    def holding(self, weights: Weights) -> Unet:
        """Return the model with some weights."""


@runtime_checkable
class Remembers(Protocol):
    """A model that has such a network."""

    @property
    def memory(self) -> MemoryUnet: ...


def denoiser_of(engines: Unet, weights: Weights | None) -> Unet:
    """Return the model with some weights; None for its own."""
    if weights is None:
        return engines
    if not isinstance(engines, HoldsWeights):
        raise ConfigError("loras: these engines hold none: give none")
    return engines.holding(weights)


def answer_of(
    engines: Unet,
    readings: Sequence[Reading | None],
    *,
    x: Tensor,
    t: Tensor,
    text: Tensor,
    cond: dict[str, Tensor],
) -> Tensor:
    """Return the model's answer to a batch, each row with its own memory or, for None, without.

    Rows with memory are asked for together, and so are those without.
    """
    memory = _memory_of(engines) if any(each is not None for each in readings) else None
    bank = None if memory is None else memory.bank()
    turns = [] if bank is None else _turns(bank, readings)
    if memory is None or bank is None or not turns:
        return engines.unet(x, t, text, cond)
    out = torch.empty_like(x)
    seen = {k for turn in turns for k in turn}
    if plain := [k for k in range(len(x)) if k not in seen]:
        out[plain] = engines.unet(x[plain], t[plain], text[plain], _at(cond, plain))
    for turn in turns:
        at, leases = list(turn), [lease for lease, _ in turn.values()]
        moments = [moment for _, moment in turn.values()]
        given = _at({"x": x, "t": t, "text": text, **cond}, at)
        made = memory(**given, **bank.told(leases, moments))
        out[at] = made["answer"].to(out)
        bank.keep(leases, moments, made)
    return out


def _memory_of(engines: Unet) -> MemoryUnet:
    if not isinstance(engines, Remembers):
        raise ConfigError(
            "bank_strength, bank_fusion above 0: these engines have no feature bank: give 0"
        )
    return engines.memory


def _turns(
    bank: FeatureBank, readings: Sequence[Reading | None]
) -> list[dict[int, tuple[Lease, Moment]]]:
    """Return the rows that get memory, by their place, in calls where no slot comes twice.

    Of two frames of one stream in a batch, the later one sees what the earlier has left.
    """
    turns: list[dict[int, tuple[Lease, Moment]]] = []
    for k, reading in enumerate(readings):
        lease = None if reading is None else bank.lease(reading)
        if lease is None or reading is None:
            continue
        free = (turn for turn in turns if all(each is not lease for each, _ in turn.values()))
        turn = next(free, None)
        if turn is None:
            turns.append(turn := {})
        turn[k] = (lease, reading.moment)
    return turns


def _at(values: dict[str, Tensor], places: list[int]) -> dict[str, Tensor]:
    return {name: each[places] for name, each in values.items()}
