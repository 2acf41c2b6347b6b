"""Who has which slot of a bank; knows nothing of what is in them, but wipes what others left.

A slot is leased as long as somebody holds the lease: when a stream forgets, or ends, its slots are
free, and nobody has to say so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from weakref import ref

from torch import Tensor

from streamgen.temporal.reading import Lease, Reading

logger = logging.getLogger(__name__)


class Slots:
    """Numbers that are leased, one for each level and pass of a stream."""

    def __init__(self, count: int, *, of: str, slabs: Iterable[Tensor] = ()) -> None:
        """of: what they are slots of, for the log. slabs: [S, …] each, with what is in them."""
        self._of = of
        self._slabs = tuple(slabs)
        self._holders: list[ref[Lease] | None] = [None] * count
        self._has_refused = False

    @property
    def free(self) -> int:
        """How many slots nobody has."""
        return sum(self._is_free(slot) for slot in range(len(self._holders)))

    def lease(self, reading: Reading) -> Lease | None:
        """Return the lease of a pass, a new one if need be; None where all slots are taken.

        A new one has no `last`, and nothing is left in its slot of who had it before: what is not a
        number would get through any mask.
        """
        held = reading.slots.leases.get(reading.key)
        if held is not None and self._is_of(held):
            return held
        for slot in range(len(self._holders)):
            if self._is_free(slot):
                self._clear(slot)
                made = Lease(slot=slot)
                self._holders[slot] = ref(made)
                reading.slots.leases[reading.key] = made
                return made
        if not self._has_refused:
            self._has_refused = True
            logger.warning(
                "%s: all of its %d slots are taken, a stream takes one for each step:"
                " some rows are drawn without it",
                self._of,
                len(self._holders),
            )
        return None

    def _clear(self, slot: int) -> None:
        # Slabs that nobody has touched take no memory on a CPU.
        if self._holders[slot] is not None:
            for slab in self._slabs:
                slab[slot].zero_()

    def _is_of(self, lease: Lease) -> bool:
        """Tell whether a lease is one of these, and not of the bank of other engines."""
        holder = self._holders[lease.slot] if lease.slot < len(self._holders) else None
        return holder is not None and holder() is lease

    def _is_free(self, slot: int) -> bool:
        holder = self._holders[slot]
        return holder is None or holder() is None
