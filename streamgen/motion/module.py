"""A motion module: what AnimateDiff puts behind each resnet of a UNet; knows no UNet, no files.

Norm, projection, transformer blocks of two attentions over time and a feed-forward, projection, and
the input added (AnimateDiff, Guo et al. 2023, arXiv 2307.04725). Weights are named as those of
diffusers' `MotionAdapter`, below `motion_modules.N`.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from streamgen.errors import ConfigError
from streamgen.motion.attention import CausalTemporalAttention, Past
from streamgen.motion.keeping import packed, unpacked
from streamgen.motion.positions import Positions
from streamgen.motion.ring import RingInputs, Sight

#: Of each transformer block.
ATTENTIONS = 2


class GatedGelu(nn.Module):
    """One half of a projection lets the other through (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return torch.mul(value, gelu(gate))


class FeedForward(nn.Module):
    """Four times as wide inside; `net.1` is a place without weights, so that names fit."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 4 * channels
        parts = (GatedGelu(channels, inner), nn.Identity(), nn.Linear(inner, channels))
        self.net = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class TemporalBlock(nn.Module):
    """Two attentions over time and a feed-forward, each with its norm before it."""

    def __init__(self, channels: int, *, heads: int, max_length: int) -> None:
        super().__init__()
        self.pos_embed = Positions(channels, max_length)
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = CausalTemporalAttention(channels, heads=heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = CausalTemporalAttention(channels, heads=heads)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    @property
    def attentions(self) -> tuple[tuple[nn.LayerNorm, CausalTemporalAttention], ...]:
        """Each with its norm, in the order that they are run in."""
        return ((self.norm1, self.attn1), (self.norm2, self.attn2))

    def forward(self, x: Tensor, sight: Sight | None = None) -> Tensor:
        """Return [M, F, C] of [M, F, C]; without a sight every frame sees all of them."""
        for norm, attention in self.attentions:
            if sight is None:
                x = x + attention(norm(x), self.pos_embed.first(x.shape[1]))
            else:
                x = x + attention.look(norm(x), self.pos_embed.at(sight.positions), sight)
        return self.finished(x)

    def step(self, x: Tensor, pasts: tuple[Past, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return [B, N, C] of [B, N, C], and what each attention is to remember of it."""
        new = []
        for (norm, attention), past in zip(self.attentions, pasts, strict=True):
            normed = norm(x)
            new.append(normed)
            x = x + attention.step(normed, past)
        return self.finished(x), tuple(new)

    def finished(self, x: Tensor) -> Tensor:
        """Return what the feed-forward makes of what came out of the attentions."""
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class MotionModule(nn.Module):
    """A module for one place of a UNet; `layers` blocks, two attentions each."""

    def __init__(
        self,
        channels: int,
        *,
        layers: int = 1,
        heads: int = 8,
        max_length: int = 32,
        norm_groups: int = 32,
    ) -> None:
        """max_length: how many positions there are. Raises ConfigError for numbers that don't fit.

        A new one is not silent yet: see `silence`.
        """
        super().__init__()
        if channels % norm_groups:
            raise ConfigError(
                f"{norm_groups} norm groups for {channels} channels: give a divisor of them"
            )
        self.channels, self.max_length = channels, max_length
        self.norm = nn.GroupNorm(norm_groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            [TemporalBlock(channels, heads=heads, max_length=max_length) for _ in range(layers)]
        )
        self.proj_out = nn.Linear(channels, channels)

    @property
    def blocks(self) -> tuple[TemporalBlock, ...]:
        """The transformer blocks, with their type."""
        return tuple(each for each in self.transformer_blocks if isinstance(each, TemporalBlock))

    @property
    def attentions(self) -> int:
        """How many attentions there are, and slabs for them."""
        return ATTENTIONS * len(self.transformer_blocks)

    def silence(self) -> None:
        """Set the last projection to zero, as training starts: the output is the input."""
        for each in self.proj_out.parameters():
            nn.init.zeros_(each)

    def forward(self, x: Tensor, context: Sight | None = None) -> Tensor:
        """Return [B, F, C, h, w] of a clip of that shape.

        context: who sees whom (`Ring.sight`): the frames are then normed one by one, as the
        original does, and the answer is that of `step` frame by frame. None: all see all, and they
        are normed together, as diffusers does; at most `max_length` of them.
        """
        batch, frames, _, height, width = x.shape
        if context is None and frames > self.max_length:
            raise ConfigError(
                f"{frames} frames at once: this adapter has positions for {self.max_length}:"
                " give at most so many, in windows for longer clips"
            )
        if context is None:
            normed = self.norm(x.transpose(1, 2)).transpose(1, 2)
        else:
            normed = self.norm(x.flatten(0, 1)).unflatten(0, (batch, frames))
        hidden = normed.permute(0, 3, 4, 1, 2).reshape(-1, frames, self.channels)
        hidden = self.proj_in(hidden)
        for block in self.blocks:
            hidden = block(hidden, context)
        made: Tensor = self.proj_out(hidden).view(batch, height, width, frames, self.channels)
        return x + made.permute(0, 3, 4, 1, 2)

    def step(self, x: Tensor, context: RingInputs) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Draw the next frame of each row.

        x: [B, C, h, w]. Returns that shape, and what is new: [B, h * w, C] for each slab, then
        [B, h * w] for each of the scales, if there are any; `ring.write` puts them in their place.
        """
        if len(context.slabs) != self.attentions:
            raise ConfigError(
                f"{len(context.slabs)} slabs for a motion module: it has {self.attentions}"
                " attentions, give one for each"
            )
        # Whoever tries a network out on any numbers shall not read beyond the slabs.
        slot = context.slot.clamp(0, context.mask.shape[0] - 1)
        mask = context.mask.index_select(0, slot)
        positions = context.positions.index_select(0, slot)
        hidden = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        new: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            places = block.pos_embed.at(positions)
            pasts = tuple(
                Past(_taken(context, k, slot, hidden.dtype), mask, places)
                for k in range(ATTENTIONS * number, ATTENTIONS * (number + 1))
            )
            hidden, states = block.step(hidden, pasts)
            new += states
        made: Tensor = self.proj_out(hidden).transpose(1, 2).view(x.shape)
        # As above: beyond 1 modules are not what they were trained to be.
        strength = context.strength.clamp(0, 1).to(x.dtype)
        out = x + made * strength.view(-1, 1, 1, 1)
        kept = [packed(each, slab.dtype) for each, slab in zip(new, context.slabs, strict=True)]
        # Slabs first, then scales: the order in which they come in.
        return out, tuple(chain.from_iterable(zip(*kept, strict=True)))


def _taken(context: RingInputs, number: int, slot: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what the rows remember for an attention, [B, slots, N, C]."""
    states = context.slabs[number].index_select(0, slot)
    scale = context.scales[number].index_select(0, slot) if context.scales else None
    return unpacked(states, scale, dtype)
