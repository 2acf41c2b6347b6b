"""Where a frame stands among those that are seen, as sinusoids; no ring, no attention.

A motion module adds them to what goes into its projections (AnimateDiff, Guo et al. 2023, arXiv
2307.04725); the sinusoids are those of Vaswani et al. 2017 (arXiv 1706.03762).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding


def sinusoids(length: int, channels: int) -> Tensor:
    """Return [length, channels] float32: sines in even channels, cosines in odd ones."""
    place = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000.0) / channels))
    return torch.stack([torch.sin(place * rate), torch.cos(place * rate)], dim=2).flatten(1)


class Positions(nn.Module):
    """The vectors of positions 0 to length - 1; `pe` is in the state, as adapters have it."""

    pe: Tensor

    def __init__(self, channels: int, length: int) -> None:
        super().__init__()
        self.register_buffer("pe", sinusoids(length, channels)[None])

    def at(self, positions: Tensor) -> Tensor:
        """Return [..., C] of int64 [...]; what is out of range gets the nearest."""
        # Whoever tries a network out on any numbers shall not read beyond the table.
        return embedding(positions.clamp(0, self.pe.shape[1] - 1), self.pe[0])

    def first(self, count: int) -> Tensor:
        """Return those of the first positions, [count, C]."""
        return self.pe[0, :count]
