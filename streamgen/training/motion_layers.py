"""Motion modules that are to be learned: a small adapter, new, in a UNet that stays as it is.

Few modules: behind the first layer of each block on the way up, and in the middle. What comes
before then needs no gradients, and all of them in fp16 take less than 3 MB for `tiny`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import MotionAdapter, UNet2DConditionModel
from torch import Tensor, nn

from streamgen.motion.adapter import Adapter
from streamgen.motion.layouts import Layout, Place
from streamgen.motion.module import MotionModule
from streamgen.motion.ring import Ring
from streamgen.motion.ring_file import RING as RING_FILE
from streamgen.motion.unet import MotionUnet, module_at
from streamgen.training.nets import initial_weights

#: What a frame sees of those before it: the ring that an adapter made here is for.
RING = Ring(sinks=2, rolling=6)
#: Positions that there are; more than the ring has places, so that longer ones can be tried.
LENGTH = 16
_HEAD_WIDTH = 32


def small_layout(unet: UNet2DConditionModel) -> Layout:
    """Return the layout of a small adapter: one module a block on the way up, one in the middle."""
    widths = tuple(unet.config["block_out_channels"])
    return Layout(
        widths=widths,
        layers=(0,) * len(widths),
        depths=(1,) * len(widths),
        heads=tuple(width // _HEAD_WIDTH for width in widths),
        middle=(1,),
        groups=unet.config["norm_num_groups"],
        length=LENGTH,
    )


class MotionLayers(nn.Module):
    """What is learned: the modules of a small adapter, silent at first, and nothing of the UNet."""

    def __init__(self, unet: UNet2DConditionModel, *, seed: int) -> None:
        super().__init__()
        adapter = _new_adapter(small_layout(unet), seed)
        network = MotionUnet(unet, adapter, names=("source",))
        self.layout = adapter.layout
        self.places = network.places
        self.stack = nn.ModuleList(network.modules_in_order)
        # In a tuple, where torch does not look: what is the UNet's is not learned or saved here.
        self._networks = (network,)

    def drawn(self, x: Tensor, t: Tensor, text: Tensor, source: Tensor) -> Tensor:
        """Return what the UNet makes of clips, each frame seeing those that it will at run time.

        x, source: [B, F, C, h, w]; t, text: of each clip.
        """
        sight = RING.sight(x.shape[1], x.device)
        (network,) = self._networks
        return network.frames(x, t, text, source.flatten(0, 1), sight=sight)

    def save(self, folder: Path) -> None:
        """Write the modules in fp16 as a `MotionAdapter` of diffusers, and their ring beside it."""
        layout = self.layout
        with initial_weights(0):
            adapter = MotionAdapter(
                block_out_channels=layout.widths,
                motion_layers_per_block=layout.layers,
                motion_num_attention_heads=layout.heads,
                motion_norm_num_groups=layout.groups,
                motion_max_seq_length=layout.length,
            )
        pairs = zip(self.places, self.stack, strict=True)
        adapter.load_state_dict(
            {name: tensor for place, module in pairs for name, tensor in _named(place, module)}
        )
        adapter.half().save_pretrained(folder, safe_serialization=True)
        write_ring(folder)


def write_ring(folder: Path) -> None:
    """Write what an adapter made here is for, which diffusers' config has no words for."""
    (folder / RING_FILE).write_text(json.dumps(asdict(RING)) + "\n", encoding="utf-8")


def _new_adapter(layout: Layout, seed: int) -> Adapter:
    with initial_weights(seed):
        modules = [_module(place, layout) for place in layout.places]
    pairs = zip(layout.places, modules, strict=True)
    weights = {name: tensor for place, module in pairs for name, tensor in _named(place, module)}
    return Adapter(name="new", layout=layout, weights=weights)


def _module(place: Place, layout: Layout) -> MotionModule:
    module = module_at(place, layout)
    module.silence()
    return module


def _named(place: Place, module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Return the weights of a module by the names that a `MotionAdapter` has for them."""
    return [(f"{place.name}.{name}", tensor) for name, tensor in module.state_dict().items()]
