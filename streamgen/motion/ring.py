"""Which frames a frame sees: the first ones of a stream and the newest; numbers only, no network.

A ring of slots for each row. The first frames after a start go into the sinks and stay there; later
ones go into the rolling slots in turn. A position is the rank by age among what is held, 0 for the
oldest, and the frame that is drawn is the newest: so positions stay within those that the adapter
was trained with, however long the stream (Live2Diff, Xing et al. 2024, arXiv 2407.08701).

All that there is to know of a row's ring is how many frames it has seen: an integer, of which mask,
positions and the slot to write come by arithmetic, on any device, without looking at its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from streamgen.errors import ConfigError


class RingInputs(NamedTuple):
    """What a motion module is told of the frames before; a tuple, for torch.export takes those.

    slot: int64 [B], which row of the slabs each row of the batch has. strength: float [B], how much
    of what a module adds goes into each row. mask: bool [S, slots], which are filled. positions:
    int64 [S, slots + 1], of each slot and, last, of the frame that is drawn. slabs: [S, slots,
    h * w, C] for each attention, in the order of the network. scales: float16 [S, slots, h * w] for
    each of them, where they are int8; else none.
    """

    slot: Tensor
    strength: Tensor
    mask: Tensor
    positions: Tensor
    slabs: tuple[Tensor, ...]
    scales: tuple[Tensor, ...] = ()


class Sight(NamedTuple):
    """Which frames of a clip each of them sees, and at what positions.

    mask: bool [F, F], a row for each that looks. positions: int64 [F, F], likewise; a frame's own
    is on the diagonal.
    """

    mask: Tensor
    positions: Tensor


class RingView(NamedTuple):
    """The state of rings after some frames: as in `RingInputs`, and at: int64 [S], what is next."""

    mask: Tensor
    positions: Tensor
    at: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """How many frames are held: sinks, the first ones, and rolling, the newest."""

    sinks: int
    rolling: int

    def __post_init__(self) -> None:
        if self.sinks < 0 or self.rolling < 1:
            raise ConfigError(
                f"ring of {self.sinks} sinks and {self.rolling} rolling slots:"
                " give at least 0 and at least 1"
            )

    @property
    def slots(self) -> int:
        """How many frames are held beside the one that is drawn."""
        return self.sinks + self.rolling

    def fit(self, max_length: int) -> None:
        """Raise ConfigError where an adapter has fewer positions than frames can be seen."""
        if self.slots >= max_length:
            raise ConfigError(
                f"ring of {self.slots} slots: with the frame that is drawn, this adapter has"
                f" positions for {max_length}: give at most {max_length - 1} slots"
            )

    def seen_by(self, frame: int) -> list[int]:
        """Return the frames that one sees, oldest first, itself last; frames count from 0."""
        first = range(min(self.sinks, frame))
        newest = range(max(self.sinks, frame - self.rolling), frame)
        return [*first, *newest, frame]

    def view(self, seen: Tensor) -> RingView:
        """Return the state of rings that have seen some frames, int64 [S]; on their device."""
        slot = torch.arange(self.slots, device=seen.device)
        count = seen[:, None]
        # The slot that is written next holds the oldest of the rolling ones.
        turn = (count - self.sinks).clamp(min=0) % self.rolling
        rank = self.sinks + (slot - self.sinks - turn) % self.rolling
        is_moved = (slot >= self.sinks) & (count > self.slots)
        held = torch.where(is_moved, rank, slot)
        now = count.clamp(max=self.slots)
        at = torch.where(count < self.sinks, count, self.sinks + turn)
        return RingView(slot < count, torch.cat([held, now], dim=1), at[:, 0])

    def sight(self, frames: int, device: torch.device | None = None) -> Sight:
        """Return what the frames of a clip see, the first of them being a stream's first."""
        frame = torch.arange(frames, device=device)
        looks, seen = frame[:, None], frame[None]
        oldest = (looks - self.rolling).clamp(min=self.sinks)
        is_sink = (seen < self.sinks).expand(frames, -1)
        mask = (is_sink | (seen >= oldest)) & (seen <= looks)
        positions = torch.where(is_sink, seen, self.sinks + seen - oldest)
        return Sight(mask, torch.where(mask, positions, torch.zeros_like(positions)))


def write(kept: Sequence[Tensor], new: Sequence[Tensor], *, slot: Tensor, at: Tensor) -> None:
    """Write what a module made of some rows into its slabs, in place.

    kept: [S, slots, ...] each, slabs and then scales; new: [B, ...] each, as a module returns them.
    slot, at: int64 [B], the rows of the slabs, none of them twice, and the slots there.
    """
    for slab, made in zip(kept, new, strict=True):
        slab.index_put_((slot, at), made.to(slab.dtype))
