"""What layers of a UNet were called in the code that Stable Diffusion was published with.

LoRAs for SDXL are trained on that: its blocks are numbered through, in and out, where diffusers
has blocks of blocks. Knows names only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_ENDS: Mapping[str, str] = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_RESNET: Mapping[str, str] = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_MIDDLE: Mapping[str, str] = {
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
#: A part of a block, such as `down_blocks.1.attentions.0`, and what is in it.
_PART = re.compile(
    r"((?:(?:down|up)_blocks\.\d+|mid_block)\."
    r"(?:resnets|attentions|downsamplers|upsamplers)\.\d+)\.(.+)"
)


def original_names(layers: Sequence[str]) -> dict[str, str]:
    """Return the original names of those layers of a UNet that have one."""
    matches = {name: match for name in layers if (match := _PART.fullmatch(name))}
    parts = _parts({match[1] for match in matches.values()})
    found = {name: _ENDS[name] for name in layers if name in _ENDS}
    for name, match in matches.items():
        part, inside = match[1], match[2]
        if part not in parts:
            continue
        if ".resnets." in part:
            inside = _RESNET.get(inside, inside)
        elif ".downsamplers." in part:
            inside = "op"
        found[name] = f"{parts[part]}.{inside}"
    return found


def _parts(there: set[str]) -> dict[str, str]:
    """Return the original names of the parts of blocks."""
    found = {part: name for part, name in _MIDDLE.items() if part in there}
    number = 1  # conv_in is the first
    for block in _count(f"down_blocks.{k}.resnets.0" in there for k in range(len(there))):
        for k in _count(f"down_blocks.{block}.resnets.{k}" in there for k in range(len(there))):
            found[f"down_blocks.{block}.resnets.{k}"] = f"input_blocks.{number}.0"
            found[f"down_blocks.{block}.attentions.{k}"] = f"input_blocks.{number}.1"
            number += 1
        if f"down_blocks.{block}.downsamplers.0" in there:
            found[f"down_blocks.{block}.downsamplers.0"] = f"input_blocks.{number}.0"
            number += 1
    number = 0
    for block in _count(f"up_blocks.{k}.resnets.0" in there for k in range(len(there))):
        for k in _count(f"up_blocks.{block}.resnets.{k}" in there for k in range(len(there))):
            found[f"up_blocks.{block}.resnets.{k}"] = f"output_blocks.{number}.0"
            found[f"up_blocks.{block}.attentions.{k}"] = f"output_blocks.{number}.1"
            number += 1
        after = 2 if f"up_blocks.{block}.attentions.0" in there else 1
        found[f"up_blocks.{block}.upsamplers.0"] = f"output_blocks.{number - 1}.{after}"
    return found


def _count(are_there: Iterable[bool]) -> range:
    """Return the numbers from 0 up to the first that is not there."""
    count = 0
    for is_there in are_there:
        if not is_there:
            break
        count += 1
    return range(count)
