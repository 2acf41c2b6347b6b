"""How much a stream's motion memory takes, and which of it fits a budget; no networks.

A row remembers, for each attention and each slot of its level's ring, the state of every token. At
512 squared, an SD 1.5 UNet with the 20 modules of AnimateDiff v1-5-3 and a window of 16 frames,
the one that is drawn among them, that is 713 MB in float16 and 358 MB in int8. Keys and values of
all 16 in float16, as Live2Diff (arXiv 2407.08701) keeps them, are 1520 MB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from streamgen.errors import ConfigError
from streamgen.motion.layouts import Place
from streamgen.motion.module import ATTENTIONS
from streamgen.motion.ring import Ring

#: How a number is kept; int8 with a scale in float16 for each token.
Kind = Literal["float32", "float16", "int8"]
_TYPES: dict[Kind, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "int8": torch.int8,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionMemory:
    """What is kept: a ring for each level, the finest first, None where its modules are left out.

    A left-out level has no motion modules at all, so its layers are drawn as without an adapter.
    """

    rings: tuple[Ring | None, ...]
    kind: Kind = "float16"


class Slabs(NamedTuple):
    """Of one module, as in `RingInputs`: [S, slots, N, C] and, for int8, [S, slots, N] each."""

    slabs: tuple[Tensor, ...]
    scales: tuple[Tensor, ...]


def slabs_of(
    place: Place,
    memory: MotionMemory,
    *,
    latent: tuple[int, int],
    rows: int,
    device: torch.device | None = None,
) -> Slabs | None:
    """Return empty slabs of a module for some rows, None where it is left out.

    latent: height and width at level 0.
    """
    ring = memory.rings[place.level]
    if ring is None:
        return None
    count, dtype = ATTENTIONS * place.depth, _TYPES[memory.kind]
    # Zeros: what is not filled weighs nothing, but has to be a number.
    shape = (rows, ring.slots, tokens_of(place, latent))
    slabs = (torch.zeros(*shape, place.channels, dtype=dtype, device=device) for _ in range(count))
    scales = (
        torch.zeros(shape, dtype=torch.float16, device=device)
        for _ in range(count if memory.kind == "int8" else 0)
    )
    return Slabs(tuple(slabs), tuple(scales))


def row_bytes(places: Sequence[Place], memory: MotionMemory, *, latent: tuple[int, int]) -> int:
    """Return what all modules remember of one row."""
    return sum(_place_bytes(place, memory, latent) for place in places)


def fitting(
    places: Sequence[Place],
    ring: Ring,
    *,
    latent: tuple[int, int],
    budget: int,
    kinds: Sequence[Kind] = ("float16", "int8"),
) -> MotionMemory:
    """Return the memory that loses least of a ring and fits a budget, in bytes a row.

    In this order: the kinds, the widest first; then in the last of them, from the finest level on,
    half the slots, and none. The coarsest level keeps half of them. Raises ConfigError where even
    that is too much.
    """
    least = 0
    for memory in _choices(ring, levels=1 + max(place.level for place in places), kinds=kinds):
        least = row_bytes(places, memory, latent=latent)
        if least <= budget:
            return memory
    raise ConfigError(
        f"motion memory of {budget} bytes a row: give at least {least}, fewer slots than"
        f" {ring.slots}, or a smaller picture"
    )


def _choices(ring: Ring, *, levels: int, kinds: Sequence[Kind]) -> Iterator[MotionMemory]:
    rings: list[Ring | None] = [ring] * levels
    for kind in kinds:
        yield MotionMemory(rings=tuple(rings), kind=kind)
    half = Ring(sinks=ring.sinks // 2, rolling=max(1, ring.rolling // 2))
    for level in range(levels):
        rings[level] = half
        yield MotionMemory(rings=tuple(rings), kind=kinds[-1])
        if level < levels - 1:
            rings[level] = None
            yield MotionMemory(rings=tuple(rings), kind=kinds[-1])


def _place_bytes(place: Place, memory: MotionMemory, latent: tuple[int, int]) -> int:
    ring = memory.rings[place.level]
    if ring is None:
        return 0
    scale = torch.float16.itemsize if memory.kind == "int8" else 0
    token = place.channels * _TYPES[memory.kind].itemsize + scale
    return ATTENTIONS * place.depth * ring.slots * tokens_of(place, latent) * token


def tokens_of(place: Place, latent: tuple[int, int]) -> int:
    """Return how many tokens a module has of one frame; latent: height and width at level 0."""
    # A UNet's strided convolutions round up.
    return math.prod(-(-side // 2**place.level) for side in latent)
