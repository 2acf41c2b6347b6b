"""Attention over time at one place of the picture: over a clip, or of a frame to those before.

What is kept of a frame is its normed state x, before positions: half of what keys and values take,
and positions can change from frame to frame. Keys and values are not made again, either:
q . W_k (x + p) = (W_k' q) . x + (W_k' q) . p, and the sum over frames of a W_v (x + p) is
W_v (the sum of a x + the sum of a p); so the projections are applied once for a frame, not once for
each that is remembered (as DeepSeek-V2 does with what it keeps, 2024, arXiv 2405.04434, 2.1.2).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, einsum, nn
from torch.nn.functional import scaled_dot_product_attention

from streamgen.errors import ConfigError
from streamgen.motion.ring import Sight


class Past(NamedTuple):
    """What a batch of rows remembers for one attention.

    states: [B, slots, N, C] without positions, finite even where nothing is filled. mask: bool
    [B, slots]. places: [B, slots + 1, C], the vectors of the slots' positions and, last, the own.
    """

    states: Tensor
    mask: Tensor
    places: Tensor


class CausalTemporalAttention(nn.Module):
    """Self-attention over time; weights are named as those of an `Attention` of diffusers."""

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ConfigError(f"{heads} heads for {channels} channels: give a divisor of them")
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """Let every frame of a clip see all of them.

        x: [M, F, C], M places of the picture. places: [F, C], vectors of their positions.
        """
        placed = x + places
        query, key, value = (
            self._split(part(placed)).transpose(1, 2) for part in (self.to_q, self.to_k, self.to_v)
        )
        seen = scaled_dot_product_attention(query, key, value)
        return self._out(seen.transpose(1, 2))

    def look(self, x: Tensor, vectors: Tensor, sight: Sight) -> Tensor:
        """Let every frame of a clip see those that it may, each at its position as seen by it.

        x: [M, F, C]. vectors: [F, F, C], of the positions of `sight`.
        """
        own = vectors.diagonal().transpose(0, 1)
        query = self._split(self.to_q(x + own)) * self._scale
        key, value = self._split(self.to_k(x)), self._split(self.to_v(x))
        key_place, value_place = self._split(self.to_k(vectors)), self._split(self.to_v(vectors))
        met = einsum("mihd,mjhd->mhij", query, key) + einsum("mihd,ijhd->mhij", query, key_place)
        weights = met.masked_fill(~sight.mask, -torch.inf).softmax(dim=3)
        seen = einsum("mhij,mjhd->mihd", weights, value)
        return self._out(seen + einsum("mhij,ijhd->mihd", weights, value_place))

    def step(self, x: Tensor, past: Past) -> Tensor:
        """Let a frame see itself and those that are remembered; x: [B, N, C]."""
        then, now = past.places[:, :-1], x + past.places[:, -1:]
        query = self._split(self.to_q(now)) * self._scale
        asked = einsum("bnhd,hdc->bnhc", query, self._by_head(self.to_k))
        met = einsum("bnhc,bsnc->bnhs", asked, past.states) + einsum("bnhc,bsc->bnhs", asked, then)
        met = met.masked_fill(~past.mask[:, None, None], -torch.inf)
        alone = einsum("bnhc,bnc->bnh", asked, now)[..., None]
        weights = torch.cat([met, alone], dim=3).softmax(dim=3)
        old, own = weights[..., :-1], weights[..., -1:]
        seen = einsum("bnhs,bsnc->bnhc", old, past.states) + einsum("bnhs,bsc->bnhc", old, then)
        seen = seen + own * now[:, :, None]
        return self._out(einsum("bnhc,hdc->bnhd", seen, self._by_head(self.to_v)))

    @property
    def _scale(self) -> float:
        return float((self.to_q.out_features // self.heads) ** -0.5)

    def _by_head(self, part: nn.Linear) -> Tensor:
        """Return its weights, [heads, C / heads, C]."""
        weights: Tensor = part.weight.unflatten(0, (self.heads, -1))
        return weights

    def _split(self, x: Tensor) -> Tensor:
        """Return [..., heads, C / heads] of [..., C]."""
        apart: Tensor = x.unflatten(-1, (self.heads, -1))
        return apart

    def _out(self, seen: Tensor) -> Tensor:
        """Return [..., C] of [..., heads, C / heads]."""
        out: Tensor = self.to_out[0](seen.flatten(-2))
        return out
