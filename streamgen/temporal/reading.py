"""What a row's pass reads of the rows before it, and what a bank is; knows no network, no slabs.

There are two kinds of banks: "bank" holds what pictures looked like inside the model, "motion" the
frames that motion modules look back at. A pass may read one of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from streamgen.temporal.likeness import likeness
from streamgen.temporal.moment import Moment

Kind = Literal["bank", "motion"]
#: Of the answers that a row asks the model for: with the prompt, the negative one, or no picture.
Pass = Literal["prompt", "negative", "blind"]
Key = tuple[int, Pass]


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Lease:
    """A slot of a bank, which is free again as soon as nobody holds the lease.

    last: the moment of the last row that read the slot. filled: of the row that what it holds is
    compared by, None while it is empty: the last one that a feature slot was filled with, the first
    one of a ring. age: rows since then. turns: how often it was merged since it was empty.
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
class Leases:
    """The leases of one stream with banks of one kind, by the level's position and the pass."""

    leases: dict[Key, Lease] = field(default_factory=dict)

    def let_go(self, *, oldest: int) -> None:
        """Give those back that no row can read any more, as of levels and passes that are gone.

        oldest: number of the row that is longest under way.
        """
        for key, lease in list(self.leases.items()):
            if lease.last is None or lease.last.number < oldest - 1:
                del self.leases[key]

    def forget(self) -> None:
        """Give them back: nothing of the pictures so far is seen again."""
        self.leases.clear()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """A pass of a row that looks at what its stream's rows were like."""

    slots: Leases
    key: Key
    moment: Moment


class Bank(Protocol):
    """Slabs that one network reads, with what there is to know about who has which slot."""

    def lease(self, reading: Reading) -> Lease | None:
        """Return the lease of a pass, a new one if need be; None where all slots are taken."""

    def told(self, leases: Sequence[Lease], moments: Sequence[Moment]) -> dict[str, Tensor]:
        """Return what the network is told of the memory of some rows, [B] each by name.

        What a slot holds that says nothing about its row is gone from now on.
        """

    def keep(
        self, leases: Sequence[Lease], moments: Sequence[Moment], made: Mapping[str, Tensor]
    ) -> None:
        """Write what the network made of the rows into their slots; made: its outputs by name."""
