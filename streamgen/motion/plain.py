"""A motion module over a stream by way of its whole history: slow, and easy to see through.

No ring, no mask, no tables: for every frame the ones that it sees are picked out by their numbers,
oldest first, get positions 0, 1, 2 ... and go through an ordinary attention.
"""

from __future__ import annotations

import torch
from torch import Tensor

from streamgen.motion.attention import CausalTemporalAttention
from streamgen.motion.module import MotionModule
from streamgen.motion.ring import Ring


def plain_attention(attention: CausalTemporalAttention, seen: Tensor, pe: Tensor) -> Tensor:
    """Return what the last of some frames gets, [M, C]; seen: [M, n, C], oldest first."""
    placed = seen + pe[: seen.shape[1]]
    heads, width = attention.heads, seen.shape[2] // attention.heads
    query = attention.to_q(placed[:, -1:]).unflatten(2, (heads, width)).transpose(1, 2)
    key = attention.to_k(placed).unflatten(2, (heads, width)).transpose(1, 2)
    value = attention.to_v(placed).unflatten(2, (heads, width)).transpose(1, 2)
    weights = (query @ key.transpose(2, 3) / width**0.5).softmax(dim=3)
    out: Tensor = attention.to_out[0]((weights @ value).transpose(1, 2).flatten(2))
    return out[:, 0]


def plain_frames(module: MotionModule, x: Tensor, ring: Ring) -> Tensor:
    """Return [B, F, C, h, w] of all frames of a stream since its start, of that shape."""
    batch, frames, _, height, width = x.shape
    normed = torch.stack([module.norm(each) for each in x.unbind(1)], dim=1)
    hidden = module.proj_in(normed.permute(0, 3, 4, 1, 2).flatten(0, 2))
    for block in module.blocks:
        pe = block.pos_embed.pe[0]
        for norm, attention in block.attentions:
            states = norm(hidden)
            seen = (states[:, ring.seen_by(frame)] for frame in range(frames))
            hidden = hidden + torch.stack([plain_attention(attention, s, pe) for s in seen], dim=1)
        hidden = hidden + block.ff(block.norm3(hidden))
    made: Tensor = module.proj_out(hidden).unflatten(0, (batch, height, width))
    return x + made.permute(0, 3, 4, 1, 2)
