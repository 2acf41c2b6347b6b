"""The feature bank: what a stream's pictures looked like inside the model, for the next to look at.

One bank belongs to one set of engines, which read it. For each level of a stream, and each of the
passes there, a slot is leased: so a row sees what its own stream's rows were like at its own level,
as in StreamV2V (arXiv 2405.15757). A slot holds as much after ten thousand pictures as after one.

It is empty at the start, after a cut, and after controls that make another picture; while such
change over time, it counts less and is filled anew with each picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor

from streamgen.temporal.bank_merging import merged
from streamgen.temporal.moment import Moment
from streamgen.temporal.reading import Lease, Reading
from streamgen.temporal.slots import Slots


class FeatureBank:
    """Slabs of S slots of one frame each, with what there is to know about who has which."""

    def __init__(self, slabs: Mapping[str, Tensor]) -> None:
        """slabs: as `streamgen.models.extensions` names them; engines are bound to these."""
        self.slabs = slabs
        self._mask = slabs["memory_mask"]
        kept = (slab for name, slab in slabs.items() if name != "memory_mask")
        self._slots = Slots(len(self._mask), of="feature bank", slabs=kept)

    @property
    def free(self) -> int:
        """How many slots nobody has."""
        return self._slots.free

    def lease(self, reading: Reading) -> Lease | None:
        """Return the lease of a pass, a new one if need be; None where all slots are taken."""
        return self._slots.lease(reading)

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
