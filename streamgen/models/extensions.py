"""What can be added to a UNet's specification: a ControlNet's residuals, memory; no networks.

down_0 …, mid                   in   what a ControlNet adds to each skip and to the middle
memory_slot int64 [B]           in   which slot of the memory a row has leased
memory_mask bool [S, F]         in   which frames of each slot are filled; others count nothing
memory_k_0, memory_v_0 … [S, F, N, D]  in   slabs: keys and values of each self-attention, in
                                     the order of the network, of N tokens, F frames of S slots
new_k_0, new_v_0 … [B, N, D]    out  those of this frame; who calls writes them into the slab
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLayer:
    """A self-attention whose keys and values are kept: tokens of a frame, and their width."""

    tokens: int
    width: int


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
    widths, per_block = config["block_out_channels"], int(config["layers_per_block"])
    asked = config.get("transformer_layers_per_block", 1)
    depths = [asked] * len(widths) if isinstance(asked, int) else list(asked)

    def layers(level: int, blocks: int) -> list[MemoryLayer]:
        tokens = math.prod(-(-side // 2**level) for side in (height, width))
        return [MemoryLayer(tokens=tokens, width=widths[level])] * (blocks * depths[level])

    last = len(widths) - 1
    found: list[MemoryLayer] = []
    for level, kind in enumerate(config["down_block_types"]):
        found += layers(level, per_block) if "CrossAttn" in kind else []
    found += layers(last, 1)
    for step, kind in enumerate(config["up_block_types"]):
        found += layers(last - step, per_block + 1) if "CrossAttn" in kind else []
    return found


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
    ]
    outputs = []
    for k, layer in enumerate(layers):
        for part in "kv":
            inner = (layer.tokens, layer.width)
            inputs.append(TensorSpec(f"memory_{part}_{k}", (slots, frames, *inner), _FLOAT))
            outputs.append(TensorSpec(f"new_{part}_{k}", (batch, *inner), _FLOAT))
    return replace(spec, inputs=(*spec.inputs, *inputs), outputs=(*spec.outputs, *outputs))
