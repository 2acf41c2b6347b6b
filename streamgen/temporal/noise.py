"""Noise that goes with the picture: values are moved whole, so it stays noise; knows no model.

A latent's noise is held on a grid SUB times finer, each cell the sum of its values over SUB. Flow
moves values from place to place and never mixes them, as interpolation would, which blurs noise and
takes from its variance; a place that no value comes to gets a new one. Noise on a finer grid:
Chang et al. 2024, "How I Warped Your Noise" (arXiv 2504.03072); by transport of single values:
Burgert et al. 2025, "Go-with-the-Flow" (arXiv 2501.08331).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from streamgen.temporal.motion import Motion

#: Places along a side of a latent cell: noise moves by a quarter of a cell at least.
SUB = 4

#: Whose noise it is: the number of a seed, and of the level in order.
Key = tuple[int, int]


@dataclass(slots=True, kw_only=True, eq=False)
class MovingNoise:
    """The noise of one stream, moved along; on the CPU, so that a seed means the same everywhere.

    fields: [..., SUB * h, SUB * w] each. remainder: [2, SUB * h, SUB * w], how far in places the
    picture has moved under each place without a value having followed. moves: since the start.
    """

    fields: dict[Key, Tensor] = field(default_factory=dict)
    remainder: Tensor | None = None
    moves: int = 0

    def move(self, motion: Motion) -> None:
        """Have every field follow the picture."""
        if not self.fields:
            return
        self.moves += 1
        source, is_new = self._sources(motion.flow.cpu())
        if source is None:
            return
        for key, values in self.fields.items():
            self.fields[key] = _moved(values, source, is_new, self._generator(key))

    def cells(self, key: Key, start: Tensor) -> Tensor:
        """Return the noise of a level, of the shape of `start`: with what a new field begins."""
        if key not in self.fields:
            self.fields[key] = _refined(start.cpu(), self._generator(key))
        field = self.fields[key]
        pooled = avg_pool2d(field.reshape(1, -1, *field.shape[-2:]), SUB)
        # The pool divides by SUB * SUB, the sum of as many independent values has to be by SUB.
        return (pooled * SUB).reshape(start.shape).to(start.device)

    def keep(self, keys: Iterable[Key]) -> None:
        """Drop all fields but these."""
        kept = set(keys)
        self.fields = {key: each for key, each in self.fields.items() if key in kept}

    def forget(self) -> None:
        """Begin anew: the next noise is that of a still picture."""
        self.fields.clear()
        self.remainder = None
        self.moves = 0

    def _generator(self, key: Key) -> torch.Generator:
        state = np.random.SeedSequence([*key, self.moves]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(state[0]) % 2**63)

    def _sources(self, flow: Tensor) -> tuple[Tensor | None, Tensor]:
        """Book a flow, [2, h, w] in cells; return for each place, flat, whose value comes to it.

        None where all stay. The second: bool, flat, which places get a new value instead.
        """
        height, width = flow.shape[-2] * SUB, flow.shape[-1] * SUB
        way = interpolate(flow[None] * SUB, scale_factor=SUB, mode="nearest")[0]
        if self.remainder is not None and self.remainder.shape == way.shape:
            way = way + self.remainder
        steps = way.round()
        self.remainder = way - steps
        if not bool(steps.any()):
            return None, torch.zeros(0, dtype=torch.bool)
        x = torch.arange(width) + steps[0].long()
        y = torch.arange(height)[:, None] + steps[1].long()
        is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        source = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).flatten()
        has_moved = steps.ne(0).any(dim=0).flatten()
        return source, ~_only_once(source, is_inside.flatten(), has_moved)


def _only_once(source: Tensor, is_inside: Tensor, has_moved: Tensor) -> Tensor:
    """Tell which places get the value that they ask for: of several that ask for one, only one.

    It is one that moved, where there is one: what moves hides what stands still.
    """
    count = len(source)
    rank = torch.arange(1, count + 1) + count * has_moved
    rank = torch.where(is_inside, rank, 0)
    # The highest rank wins, in whatever order they come.
    best = torch.zeros(count, dtype=rank.dtype).scatter_reduce(0, source, rank, "amax")
    return (best[source] == rank) & is_inside


def _moved(values: Tensor, source: Tensor, is_new: Tensor, generator: torch.Generator) -> Tensor:
    """Return a field, [..., H, W], with each place's value taken from `source` or new."""
    flat = values.reshape(-1, len(source))
    taken = flat[:, source]
    fresh = torch.randn(len(flat), int(is_new.sum()), generator=generator)
    taken[:, is_new] = fresh
    return taken.reshape(values.shape)


def _refined(cells: Tensor, generator: torch.Generator) -> Tensor:
    """Return unit noise on the finer grid of which these cells, [..., h, w] of it, are the sums.

    Noise less its mean in a cell, and the mean that the cell's own value stands for, of the
    variance that the mean had: the values are independent and of unit variance.
    """
    *lead, height, width = cells.shape
    shape = (1, max(cells.numel() // (height * width), 1), height, width)
    coarse = cells.reshape(shape).float()
    noise = torch.randn(*shape[:2], height * SUB, width * SUB, generator=generator)
    mean = interpolate(coarse / SUB - avg_pool2d(noise, SUB), scale_factor=SUB, mode="nearest")
    return (noise + mean).reshape(*lead, height * SUB, width * SUB)
