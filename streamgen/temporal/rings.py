"""The frames that motion modules look back at: rings of the rows of many streams, on the device.

One bank belongs to one set of engines. Each level of noise of a stream, and each of the passes
there, has a slot of the slabs, and a ring there of the frames before (`streamgen.motion.ring`).
How many frames a ring has seen is known on the device alone: nobody waits for it.

A ring begins anew where its stream does, at a cut, and where the controls have become those of
another picture since its first frame: the first frames stay in a ring, and would haunt it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from streamgen.errors import ConfigError
from streamgen.motion.ring import Ring, write
from streamgen.temporal.moment import Moment
from streamgen.temporal.reading import Lease, Reading
from streamgen.temporal.slots import Slots

#: A ring whose first frame says less than this about the one that is drawn begins anew.
LEAST_SHARE = 0.5
_MASK, _POSITIONS = "motion_mask_", "motion_positions_"
_KEPT = ("motion_state_", "motion_scale_")


class RingBank:
    """Slabs of S slots, a ring of frames each, with what there is to know about who has which."""

    def __init__(self, slabs: Mapping[str, Tensor], rings: Mapping[int, Ring]) -> None:
        """slabs: `motion_state_0` … and, for int8, `motion_scale_0` …, [S, slots, …] each, and of
        each level with modules `motion_mask_…` and `motion_positions_…`; engines are bound to
        these. rings: of these levels. Raises ConfigError for rings that do not go with the slabs.
        """
        self.slabs = slabs
        self.rings = rings
        self._kept = {name: each for name, each in slabs.items() if name.startswith(_KEPT)}
        self._by_size = _by_size(rings.values(), self._kept)
        first = slabs["motion_state_0"]
        rows, self._device = len(first), first.device
        self._seen = torch.zeros(rows, dtype=torch.int64, device=self._device)
        # Where each ring is written next, by its size: as of the last `told`.
        self._at: dict[int, Tensor] = {}
        self._slots = Slots(rows, of="motion memory", slabs=self._kept.values())

    @property
    def free(self) -> int:
        """How many slots nobody has."""
        return self._slots.free

    def lease(self, reading: Reading) -> Lease | None:
        """Return the lease of a pass, a new one if need be; None where all slots are taken."""
        return self._slots.lease(reading)

    def told(self, leases: Sequence[Lease], moments: Sequence[Moment]) -> dict[str, Tensor]:
        """Return what the model is told of the rings of some rows, [B] each by name.

        A ring that says nothing about its row is empty from now on.
        """
        begun = []
        for lease, moment in zip(leases, moments, strict=True):
            if lease.share_at(moment) >= LEAST_SHARE:
                continue
            begun.append(lease.slot)
            lease.age = 0
            lease.filled = replace(moment, motion=None)
        if begun:
            self._seen.index_fill_(0, self._number(begun), 0)
        self._show()
        strengths = [moment.controls.motion_strength for moment in moments]
        strength = torch.tensor(strengths, dtype=torch.float32)
        return {
            "motion_slot": self._number([lease.slot for lease in leases]),
            "motion_strength": strength.to(self._device, non_blocking=True),
        }

    def keep(
        self, leases: Sequence[Lease], moments: Sequence[Moment], made: Mapping[str, Tensor]
    ) -> None:
        """Write what the model made of the rows into their rings.

        made: outputs of the model, new_… among them. Only after `told` for the same rows.
        """
        slot = self._number([lease.slot for lease in leases])
        for size, at in self._at.items():
            slabs = {name: slab for name, slab in self._kept.items() if slab.shape[1] == size}
            new = [made[f"new_{name}"] for name in slabs]
            write(list(slabs.values()), new, slot=slot, at=at.index_select(0, slot))
        self._seen.index_add_(0, slot, torch.ones_like(slot))
        for lease, moment in zip(leases, moments, strict=True):
            lease.last = replace(moment, motion=None)
            lease.age += 1

    def _show(self) -> None:
        """Write what the rings are after so many frames to where the engines read it."""
        views = {size: ring.view(self._seen) for size, ring in self._by_size.items()}
        self._at = {size: view.at for size, view in views.items()}
        for level, ring in self.rings.items():
            view = views[ring.slots]
            self.slabs[f"{_MASK}{level}"].copy_(view.mask)
            self.slabs[f"{_POSITIONS}{level}"].copy_(view.positions)

    def _number(self, slots: Sequence[int]) -> Tensor:
        # Blocking, a copy from the host waits for all that the device still has to do.
        return torch.tensor(slots, dtype=torch.int64).to(self._device, non_blocking=True)


def _by_size(rings: Iterable[Ring], kept: Mapping[str, Tensor]) -> dict[int, Ring]:
    """Return the rings by how many slots they have: what a slab's level is, its name does not say.

    Raises ConfigError where two of a size differ, or a slab has the size of none.
    """
    found: dict[int, Ring] = {}
    for ring in rings:
        if found.setdefault(ring.slots, ring) != ring:
            raise ConfigError(
                f"rings of {ring.slots} slots with {ring.sinks} and {found[ring.slots].sinks}"
                " sinks: give levels with as many slots the same ring"
            )
    for name, slab in kept.items():
        if slab.shape[1] not in found:
            raise ConfigError(f"{name} of {slab.shape[1]} slots: the rings have {sorted(found)}")
    return found
