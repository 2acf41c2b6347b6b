"""What can be added to a UNet's specification: a ControlNet's residuals, memory; no networks.

down_0 …, mid                   in   what a ControlNet adds to each skip and to the middle
memory_slot int64 [B]           in   which slot of the memory a row has leased
memory_mask bool [S, F]         in   which frames of each slot are filled; others count nothing
bank_strength, bank_fusion [B]  in   how much each row looks at its memory, in [0, 1]: the weight of
                                     a remembered token beside one of its own, and the share of the
                                     likest remembered output in its own
memory_k_0, memory_v_0 … [S, F, N, D]  in   slabs: keys and values of each self-attention, in
                                     the order of the network, of N tokens, F frames of S slots
memory_o_3 … [S, F, N, D]       in   of those that are fused, the outputs, too
new_k_0, new_v_0, new_o_3 … [B, N, D]  out  those of this frame; who calls writes them into the slab
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any  # Any: a config of diffusers

from engines.spec import EngineSpec, Range, TensorSpec
from streamgen.errors import ConfigError
from streamgen.models.sides import Sides, over

_FLOAT = "float32"
_DEPTHS = "transformer_layers_per_block"
# Where a side is this many times halved, or as coarse as a network gets: on finer levels fusion
# takes away detail (StreamV2V, arXiv 2405.15757).
_FUSED_FROM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLayer:
    """A self-attention whose keys and values are kept: tokens of a frame, and their width.

    is_fused: its output is kept as well.
    """

    tokens: int
    width: int
    is_fused: bool = False

    @property
    def parts(self) -> str:
        """A letter for each thing that is kept: keys, values, outputs."""
        return "kvo" if self.is_fused else "kv"


def with_residuals(spec: EngineSpec, config: Mapping[str, Any]) -> EngineSpec:
    """Return the specification of a UNet that takes a ControlNet's residuals as well.

    config: of the UNet; a ControlNet for it has the same blocks.
    """
    batch, _, height, width = spec.inputs[0].shape
    widths, per_block = config["block_out_channels"], int(config["layers_per_block"])
    channels_at = [(widths[0], 1)]
    for level, channels in enumerate(widths):
        channels_at += [(channels, 2**level)] * per_block
        if level < len(widths) - 1:
            channels_at.append((channels, 2 ** (level + 1)))

    def tensor(name: str, channels: int, divisor: int) -> TensorSpec:
        shape = (batch, channels, over(height, divisor), over(width, divisor))
        return TensorSpec(name, shape, _FLOAT)

    skips = [tensor(f"down_{k}", *found) for k, found in enumerate(channels_at)]
    middle = tensor("mid", widths[-1], 2 ** (len(widths) - 1))
    return replace(spec, inputs=(*spec.inputs, *skips, middle))


def memory_layers(config: Mapping[str, Any], latent: Sides) -> list[MemoryLayer]:
    """Return every self-attention of a UNet: on the way down, in the middle, on the way up.

    latent: height and width. Raises ConfigError for a range: tokens are their product.
    """
    height, width = latent
    if isinstance(height, Range) or isinstance(width, Range):
        raise ConfigError(f"memory for sizes {height}, {width}: give one fixed size")
    widths = config["block_out_channels"]
    last = len(widths) - 1
    blocks, depths = _each(config, "layers_per_block"), _each(config, _DEPTHS)

    def layers(level: int, count: int, *, can_fuse: bool = True) -> list[MemoryLayer]:
        tokens = math.prod(-(-side // 2**level) for side in (height, width))
        is_fused = can_fuse and level >= min(_FUSED_FROM, last)
        layer = MemoryLayer(tokens=tokens, width=widths[level], is_fused=is_fused)
        return [layer] * (count * depths[level])

    found: list[MemoryLayer] = []
    for level, kind in enumerate(config["down_block_types"]):
        found += layers(level, blocks[level], can_fuse=False) if "CrossAttn" in kind else []
    if "CrossAttn" in (config.get("mid_block_type", "CrossAttn") or ""):
        found += layers(last, 1)
    for step, kind in enumerate(config["up_block_types"]):
        level = last - step
        found += layers(level, blocks[level] + 1) if "CrossAttn" in kind else []
    return found


def _each(config: Mapping[str, Any], name: str) -> list[int]:
    """Return a number for each level, where a config may have one for all."""
    asked = config.get(name, 1)
    return [asked] * len(config["block_out_channels"]) if isinstance(asked, int) else list(asked)


def with_memory(
    spec: EngineSpec, layers: Sequence[MemoryLayer], *, slots: int, frames: int
) -> EngineSpec:
    """Return the specification of a network that reads memory and gives its newest slice.

    slots: of rows that can have memory at once. frames: that each slot keeps.
    """
    batch = spec.inputs[0].shape[0]
    inputs = [
        TensorSpec("memory_slot", (batch,), "int64"),
        TensorSpec("memory_mask", (slots, frames), "bool"),
        TensorSpec("bank_strength", (batch,), _FLOAT),
        TensorSpec("bank_fusion", (batch,), _FLOAT),
    ]
    outputs = []
    for k, layer in enumerate(layers):
        for part in layer.parts:
            inner = (layer.tokens, layer.width)
            inputs.append(TensorSpec(f"memory_{part}_{k}", (slots, frames, *inner), _FLOAT))
            outputs.append(TensorSpec(f"new_{part}_{k}", (batch, *inner), _FLOAT))
    return replace(spec, inputs=(*spec.inputs, *inputs), outputs=(*spec.outputs, *outputs))


def slot_bytes(layers: Sequence[MemoryLayer]) -> int:
    """Return what one frame of one slot takes, in float32."""
    return sum(math.prod((4, each.tokens, each.width, len(each.parts))) for each in layers)
