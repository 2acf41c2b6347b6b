"""LoRAs for motion: of motion modules, and of the UNet that an adapter was trained beside.

A motion LoRA (AnimateDiff v2) changes the temporal attentions, for one movement of the camera. A
domain adapter (AnimateDiff v3) changes the spatial ones: it is what the adapter's training clips
look like, and a plain LoRA of a UNet. Both are read as any LoRA is, `streamgen.lora.read`.
"""

from __future__ import annotations

import re
from dataclasses import replace

from streamgen.errors import ModelError
from streamgen.lora.fit import FittedLora, Networks, fitted
from streamgen.lora.names import flat
from streamgen.lora.read import Lora

_MOTION = "motion_modules"
#: Attentions of a motion module in the code that AnimateDiff was published with, counted from 0.
_ATTENTION = re.compile(r"attention_blocks([._])(\d+)")


def changes_motion(lora: Lora) -> bool:
    """Tell whether a LoRA changes motion modules; a domain adapter does not."""
    return any(_MOTION in flat(layer) for _, layer in lora.layers)


def fitted_with_motion(lora: Lora, networks: Networks) -> FittedLora:
    """Fit a LoRA of any kind to the networks of a model, whose UNet may have motion modules.

    Raises ModelError, with the LoRA's name and a reason, for one that is not made for them.
    """
    there = {name for name, _ in networks["unet"].named_modules() if _MOTION in name}
    if changes_motion(lora) and not there:
        raise ModelError(
            f"LoRA {lora.name!r} changes motion modules, and this UNet has none: choose a motion"
            " adapter first"
        )
    modern = _modern(lora)
    middle = flat(f"mid_block.{_MOTION}")
    if not any(flat(name).startswith(middle) for name in there) and any(
        flat(layer).startswith(middle) for _, layer in modern.layers
    ):
        raise ModelError(
            f"LoRA {lora.name!r} is for another adapter: it changes a motion module in the middle,"
            " and this adapter has none there: motion LoRAs are for AnimateDiff v1-5-2"
        )
    return fitted(modern, networks)


def _modern(lora: Lora) -> Lora:
    """Return a LoRA whose layers of motion modules are named as in diffusers."""
    layers = {}
    for (network, layer), factors in lora.layers.items():
        name = _modern_name(layer) if _MOTION in flat(layer) else layer
        if (network, name) in layers:
            raise ModelError(f"LoRA {lora.name!r}: it has the layer {name!r} under two names")
        layers[network, name] = factors
    return replace(lora, layers=layers)


def _modern_name(layer: str) -> str:
    name = re.sub(r"[._]temporal_transformer(?=[._])", "", layer)
    return _ATTENTION.sub(lambda match: f"attn{int(match[2]) + 1}", name)
