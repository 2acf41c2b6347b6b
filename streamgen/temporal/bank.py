"""The feature bank: what a stream's pictures looked like inside the model, for the next to look at.

One bank belongs to one set of engines, which read it. For each level of a stream, and each of the
passes there, a slot is leased: so a row sees what its own stream's rows were like at its own level,
as in StreamV2V (arXiv 2405.15757). A slot holds as much after ten thousand pictures as after one.

It is empty at the start, after a cut, and after controls that make another picture; while such
change over time, it counts less and is filled anew with each picture.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal
from weakref import ref

import torch
from torch import Tensor

from streamgen.temporal.bank_merging import merged
from streamgen.temporal.likeness import likeness
from streamgen.temporal.moment import Moment

logger = logging.getLogger(__name__)

#: Of the answers that a row asks the model for: with the prompt, the negative one, or no picture.
Pass = Literal["prompt", "negative", "blind"]
Key = tuple[int, Pass]


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Lease:
    """A slot of a bank, which is free again as soon as nobody holds the lease.

    last: the moment of the last row that read the slot. filled: of the last row that it was filled
    with, None while it is empty. age: rows since then. turns: how often it was merged since it was
    empty.
    """

    slot: int
    last: Moment | None = None
    filled: Moment | None = None
    age: int = 0
    turns: int = 0

    def share_at(self, moment: Moment) -> float:
        """Return how much the slot says about a row, in [0, 1]."""
        if self.last is None or self.filled is None or self.last.number != moment.number - 1:
            return 0.0
        if moment.motion is not None and moment.motion.is_cut:
            return 0.0
        return likeness(self.filled.controls, moment.controls)


@dataclass(slots=True, kw_only=True, eq=False)
class FeatureSlots:
    """The leases of one stream, by the level's position and the pass."""

    leases: dict[Key, Lease] = field(default_factory=dict)

    def forget(self) -> None:
        """Give them back: nothing of the pictures so far is seen again."""
        self.leases.clear()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """A pass of a row that looks at what its stream's rows were like."""

    slots: FeatureSlots
    key: Key
    moment: Moment


class FeatureBank:
    """Slabs of S slots of one frame each, with what there is to know about who has which."""

    def __init__(self, slabs: Mapping[str, Tensor]) -> None:
        """slabs: as `streamgen.models.extensions` names them; engines are bound to these."""
        self.slabs = slabs
        self._mask = slabs["memory_mask"]
        self._holders: list[ref[Lease] | None] = [None] * len(self._mask)
        self._has_refused = False

    @property
    def free(self) -> int:
        """How many slots nobody has."""
        return sum(self._is_free(slot) for slot in range(len(self._holders)))

    def lease(self, reading: Reading) -> Lease | None:
        """Return the lease of a pass, a new one if need be; None where all slots are taken."""
        held = reading.slots.leases.get(reading.key)
        if held is not None and self._is_of(held):
            return held
        for slot in range(len(self._holders)):
            if self._is_free(slot):
                made = Lease(slot=slot)
                self._holders[slot] = ref(made)
                self._mask[slot] = False
                reading.slots.leases[reading.key] = made
                return made
        if not self._has_refused:
            self._has_refused = True
            logger.warning(
                "feature bank: all of its %d slots are taken, a stream takes one for each step:"
                " some rows are drawn without it",
                len(self._holders),
            )
        return None

    def told(self, leases: Sequence[Lease], moments: Sequence[Moment]) -> dict[str, Tensor]:
        """Return what the model is told of the memory of some rows, [B] each by name.

        A slot that holds nothing about its row is empty from now on.
        """
        numbers = []
        for lease, moment in zip(leases, moments, strict=True):
            share, controls = lease.share_at(moment), moment.controls
            if share == 0:
                self._mask[lease.slot] = False
                lease.filled, lease.turns = None, 0
            numbers.append((share * controls.bank_strength, share * controls.bank_fusion))
        device = self._mask.device
        strength, fusion = torch.tensor(numbers, dtype=torch.float32, device=device).unbind(1)
        slots = torch.tensor([lease.slot for lease in leases], device=device)
        return {"memory_slot": slots, "bank_strength": strength, "bank_fusion": fusion}

    def keep(
        self, leases: Sequence[Lease], moments: Sequence[Moment], made: Mapping[str, Tensor]
    ) -> None:
        """Write what the model made of the rows into their slots, where it is time for that.

        made: outputs of the model, new_… among them.
        """
        for k, (lease, moment) in enumerate(zip(leases, moments, strict=True)):
            share = lease.share_at(moment)
            lease.last = replace(moment, motion=None)
            lease.age += 1
            if share == 1 and lease.age < moment.controls.bank_interval:
                continue
            new = {name[4:]: each[k] for name, each in made.items() if name.startswith("new_")}
            self._write(lease, new, merges=share == 1)
            lease.filled, lease.age = lease.last, 0

    def _write(self, lease: Lease, new: Mapping[str, Tensor], *, merges: bool) -> None:
        for number in count():
            parts = [part for part in "kvo" if f"{part}_{number}" in new]
            if not parts:
                break
            held = {part: self.slabs[f"memory_{part}_{number}"][lease.slot, 0] for part in parts}
            now = {part: new[f"{part}_{number}"] for part in parts}
            kept = merged(held, now, turn=lease.turns) if merges else now
            for part in parts:
                held[part].copy_(kept[part])
        lease.turns += int(merges)
        self._mask[lease.slot] = True

    def _is_of(self, lease: Lease) -> bool:
        """Tell whether a lease is of this bank, and not of that of other engines."""
        holder = self._holders[lease.slot] if lease.slot < len(self._holders) else None
        return holder is not None and holder() is lease

    def _is_free(self, slot: int) -> bool:
        holder = self._holders[slot]
        return holder is None or holder() is None
