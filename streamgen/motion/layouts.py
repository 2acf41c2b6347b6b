"""How a motion adapter is built, and where its modules stand in a UNet; no weights, no networks.

After each layer of a UNet's blocks stands one motion module (AnimateDiff, Guo et al. 2023, arXiv
2307.04725): behind its spatial attention, or behind its resnet where a block has no attention.

Published layouts, by the configs in their folders; all are for widths 320, 640, 1280, 1280, two
layers a block, 8 heads, 32 groups:

    AnimateDiff v1-4, v1-5   24 frames, without a middle module
    AnimateDiff v1-5-2       32 frames, with one
    AnimateDiff v1-5-3       32 frames, without
    AnimateLCM               32 frames, with one

An adapter of 0 layers a block has modules on the way up alone, behind the first layer of each block
there: small ones that are trained here are such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any  # Any: a config of diffusers

from streamgen.errors import ModelError

Config = Mapping[str, Any]
#: Of a block of a UNet, by its class: after which of its layers a motion module stands.
_LAYERS: Mapping[str, str] = {
    "CrossAttnDownBlock2D": "attentions",
    "DownBlock2D": "resnets",
    "UNetMidBlock2DCrossAttn": "attentions",
    "CrossAttnUpBlock2D": "attentions",
    "UpBlock2D": "resnets",
}
#: What the configs of older folders say as well, and the only thing that was ever meant.
_FIXED: Config = {
    "motion_activation_fn": "geglu",
    "motion_attention_bias": False,
    "motion_cross_attention_dim": None,
}
_TEMPORAL = "motion_transformer_layers_per_block"
_TEMPORAL_MIDDLE = "motion_transformer_layers_per_mid_block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A motion module: its name among the adapter's weights, and the layer that it stands behind.

    level: 0 is the finest; each further one has half the sides. depth: of its transformer blocks.
    layer: as the UNet names it; empty while the UNet is not known.
    """

    name: str
    level: int
    channels: int
    heads: int
    depth: int
    layer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What an adapter's config tells; a number for each level where nothing else is said.

    middle: depths of the modules in the middle, empty without. length: frames it has positions for.
    """

    widths: tuple[int, ...]
    layers: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    middle: tuple[int, ...]
    groups: int
    length: int

    @property
    def places(self) -> tuple[Place, ...]:
        """All modules in the order that they are run in."""
        last = len(self.widths) - 1
        down = (self._block(f"down_blocks.{k}", k, self.layers[k]) for k in range(last + 1))
        up = (
            self._block(f"up_blocks.{step}", last - step, self.layers[last - step] + 1)
            for step in range(last + 1)
        )
        middle = (
            self._place("mid_block", k, level=last, depth=d) for k, d in enumerate(self.middle)
        )
        return (
            *(place for block in down for place in block),
            *middle,
            *(place for block in up for place in block),
        )

    def _block(self, block: str, level: int, count: int) -> Iterator[Place]:
        return (self._place(block, k, level=level, depth=self.depths[level]) for k in range(count))

    def _place(self, block: str, number: int, *, level: int, depth: int) -> Place:
        return Place(
            name=f"{block}.motion_modules.{number}",
            level=level,
            channels=self.widths[level],
            heads=self.heads[level],
            depth=depth,
        )


def layout_of(config: Config) -> Layout:
    """Return what a MotionAdapter's config tells; ModelError, without its name, where it cannot be.

    What a config leaves out is as diffusers has it.
    """
    if config.get("conv_in_channels"):
        raise ModelError(
            f"it takes {config['conv_in_channels']} channels instead of the UNet's own (PIA): its"
            " first layer sees one picture beside all frames of a clip, and a stream goes on"
        )
    for name, fixed in _FIXED.items():
        if config.get(name, fixed) != fixed:
            raise ModelError(f"{name} {config[name]!r}: supported is {fixed!r}")
    widths = _numbers(config, "block_out_channels", (320, 640, 1280, 1280))
    levels, has_middle = len(widths), config.get("use_motion_mid_block", True)
    middle = _number(config, "motion_mid_block_layers_per_block", 1) if has_middle else 0
    layout = Layout(
        widths=widths,
        layers=_each(config, "motion_layers_per_block", 2, levels, least=0),
        depths=_each(config, _TEMPORAL, 1, levels),
        heads=_each(config, "motion_num_attention_heads", 8, levels),
        middle=_each(config, _TEMPORAL_MIDDLE, 1, middle) if middle else (),
        groups=_number(config, "motion_norm_num_groups", 32),
        length=_number(config, "motion_max_seq_length", 32),
    )
    for width, heads in zip(layout.widths, layout.heads, strict=True):
        if width % heads or width % layout.groups:
            raise ModelError(
                f"width {width}: it is no multiple of {heads} heads and {layout.groups} groups"
            )
        if width % 2:
            raise ModelError(f"width {width}: positions take an even one, half sines, half cosines")
    return layout


def places_in(layout: Layout, unet: Config) -> tuple[Place, ...]:
    """Return an adapter's modules with the layers of a UNet that they stand behind.

    unet: its config. Raises ModelError, without names, for a UNet that the adapter is not made for.
    """
    _check_levels(layout, unet)
    middle = unet.get("mid_block_type", "UNetMidBlock2DCrossAttn")
    count = 1 if middle in _LAYERS else 0
    if len(layout.middle) > count:
        raise ModelError(
            f"it has {len(layout.middle)} modules in the middle, this UNet's middle {middle!r} has"
            f" room for {count}"
        )
    kinds = {"mid_block": middle}
    for way in ("down", "up"):
        found = unet[f"{way}_block_types"]
        kinds |= {f"{way}_blocks.{k}": kind for k, kind in enumerate(found)}
    for block, kind in kinds.items():
        if kind not in _LAYERS and block != "mid_block":
            raise ModelError(f"this UNet's {block} is a {kind}: supported are {', '.join(_LAYERS)}")
    return tuple(_standing(place, kinds) for place in layout.places)


def _standing(place: Place, kinds: Mapping[str, str]) -> Place:
    block, _, number = place.name.partition(".motion_modules.")
    return replace(place, layer=f"{block}.{_LAYERS[kinds[block]]}.{number}")


def _check_levels(layout: Layout, unet: Config) -> None:
    """Raise ModelError for other widths, or other numbers of layers."""
    widths = tuple(unet["block_out_channels"])
    if layout.widths != widths:
        raise ModelError(f"it has widths {list(layout.widths)}, this UNet has {list(widths)}")
    layers = _each(unet, "layers_per_block", 2, len(widths))
    if any(layout.layers) and layout.layers != layers:
        raise ModelError(
            f"it has {list(layout.layers)} layers in its blocks, this UNet has {list(layers)}"
        )


def _number(config: Config, name: str, usual: int, *, least: int = 1) -> int:
    found = config.get(name, usual)
    if isinstance(found, bool) or not isinstance(found, int) or found < least:
        raise ModelError(f"{name} {found!r}: give a whole number from {least} on")
    return found


def _numbers(
    config: Config, name: str, usual: tuple[int, ...], *, least: int = 1
) -> tuple[int, ...]:
    found = config.get(name, usual)
    if not isinstance(found, list | tuple) or not found:
        raise ModelError(f"{name} {found!r}: give a list of numbers, one for each level")
    return tuple(_number({name: each}, name, least, least=least) for each in found)


def _each(config: Config, name: str, usual: int, count: int, *, least: int = 1) -> tuple[int, ...]:
    """Return a number for each of several, where a config may have one for all."""
    if isinstance(config.get(name, usual), int):
        return (_number(config, name, usual, least=least),) * count
    found = _numbers(config, name, (), least=least)
    if len(found) != count:
        raise ModelError(f"{name} {list(found)}: give {count} numbers, or one")
    return found
