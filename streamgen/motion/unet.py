"""A UNet with motion modules: over whole clips, or frame by frame with what is remembered.

AnimateDiff (Guo et al. 2023, arXiv 2307.04725) puts a motion module behind each layer of a UNet.
The UNet's own weights are shared, those of the modules are added under the names that diffusers'
`UNetMotionModel` has for them, so that LoRAs for either find their layers. No state: rings of
frames before come in, what is new of this one goes out, as `streamgen.motion.ring` says.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any  # Any: what a layer of diffusers takes

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from streamgen.errors import ConfigError, ModelError
from streamgen.models.networks import denoiser_of
from streamgen.motion.adapter import Adapter
from streamgen.motion.layouts import Layout, Place, places_in
from streamgen.motion.module import ATTENTIONS, MotionModule
from streamgen.motion.positions import sinusoids
from streamgen.motion.ring import RingInputs, Sight

Slices = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A call over all frames of clips: how many each has, and which of them see which."""

    frames: int
    sight: Sight | None

    def through(self, number: int, module: MotionModule, x: Tensor) -> Tensor:
        """Return what a module makes of [B * F, C, h, w]."""
        clips = x.unflatten(0, (-1, self.frames))
        out: Tensor = module(clips, self.sight).flatten(0, 1)
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """A call for the next frame of each row: what modules remember, and what they are to."""

    rings: Sequence[RingInputs]
    new: dict[int, Slices] = field(default_factory=dict)

    def through(self, number: int, module: MotionModule, x: Tensor) -> Tensor:
        """Return what a module makes of [B, C, h, w], and keep what is new."""
        out, self.new[number] = module.step(x, self.rings[number])
        return out


class MotionUnet(nn.Module):
    """The UNet of a model with the motion modules of an adapter; the UNet itself stays as it is."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        adapter: Adapter,
        *,
        names: Sequence[str] = (),
        levels: Collection[int] | None = None,
        shares: bool = False,
    ) -> None:
        """names: of the further inputs of the UNet. levels: that have modules, 0 is the finest;
        None for all. shares: the adapter's own weights, where they have type and device of the
        UNet. Raises ModelError for an adapter of another UNet, ConfigError for levels that there
        are not.
        """
        super().__init__()
        self.places = _chosen(places_of(adapter, unet), levels)
        weights = {id(each): each for each in chain(unet.parameters(), unet.buffers())}
        own: UNet2DConditionModel = copy.deepcopy(unet, weights)
        self.network = denoiser_of(own, names)
        self.plain_inputs = 3 + len(names)
        self._call: Clip | Live | None = None
        for number, place in enumerate(self.places):
            module = _module(adapter, place, unet, copies=not shares)
            _add(own, place, module)
            layer: nn.Module = own.get_submodule(place.layer)
            layer.register_forward_hook(partial(self._behind, number, module))

    @property
    def unet(self) -> nn.Module:
        """The UNet with its modules, named as in a `UNetMotionModel`."""
        return self.network.get_submodule("unet")

    @property
    def modules_in_order(self) -> tuple[MotionModule, ...]:
        """The motion modules, in the order that they are run in, that of `places`."""
        found = (self.unet.get_submodule(place.name) for place in self.places)
        return tuple(each for each in found if isinstance(each, MotionModule))

    def frames(
        self, x: Tensor, t: Tensor, text: Tensor, *further: Tensor, sight: Sight | None = None
    ) -> Tensor:
        """Return the answer for all frames of clips, [B, F, C, h, w] as x.

        t, text, further: as the UNet takes them, for each clip, [B, ...], or for each of their
        frames, [B * F, ...]. sight: who sees whom, as when drawn frame by frame; None: all see all.
        """
        batch, frames = x.shape[:2]
        told = [_each_frame(value, batch, frames) for value in (t, text, *further)]
        answer = self._run(Clip(frames, sight), [x.flatten(0, 1), *told])
        return answer.view(batch, frames, *answer.shape[1:])

    def step(
        self, *plain: Tensor, rings: Sequence[RingInputs]
    ) -> tuple[Tensor, tuple[Slices, ...]]:
        """Return the answer for the next frame of each row, and what each module's ring gets.

        plain: x [B, C, h, w], t, text and the further inputs. rings: one for each module, in the
        order of `places`. `ring.write` puts into a module's slabs and scales what is returned.
        """
        if len(rings) != len(self.places):
            raise ConfigError(
                f"{len(rings)} rings: give one for each of {len(self.places)} modules"
            )
        live = Live(rings)
        answer = self._run(live, plain)
        return answer, tuple(live.new[number] for number in range(len(self.places)))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """As `step`, flat, for backends: plain inputs, motion inputs → answer, new ….

        Motion inputs: slot; strength; mask and positions of each level that has modules, finest
        first; slabs of all attentions in the order of the network; where those are int8, their
        scales. New slices are in the order of the slabs, then of the scales.
        """
        plain, motion = inputs[: self.plain_inputs], inputs[self.plain_inputs :]
        answer, new = self.step(*plain, rings=self.rings_of(motion))
        counts = self._counts
        slabs = (part for each, count in zip(new, counts, strict=True) for part in each[:count])
        scales = (part for each, count in zip(new, counts, strict=True) for part in each[count:])
        return (answer, *slabs, *scales)

    def rings_of(self, motion: Sequence[Tensor]) -> list[RingInputs]:
        """Return what each module is told, of the flat motion inputs."""
        levels = sorted({place.level for place in self.places})
        (slot, strength), rest = motion[:2], motion[2 + 2 * len(levels) :]
        views = {level: motion[2 + 2 * k : 4 + 2 * k] for k, level in enumerate(levels)}
        count = sum(self._counts)
        slabs, scales = rest[:count], rest[count:]
        if len(slabs) < count or len(scales) not in (0, count):
            raise ConfigError(f"{len(rest)} motion slabs and scales: give {count}, or {2 * count}")
        rings, first = [], 0
        for place, own in zip(self.places, self._counts, strict=True):
            part = slice(first, first + own)
            mask, positions = views[place.level]
            kept = tuple(slabs[part]), tuple(scales[part])
            rings.append(RingInputs(slot, strength, mask, positions, *kept))
            first += own
        return rings

    @property
    def _counts(self) -> list[int]:
        """How many attentions each module has."""
        return [ATTENTIONS * place.depth for place in self.places]

    def _run(self, call: Clip | Live, plain: Sequence[Tensor]) -> Tensor:
        self._call = call
        try:
            answer: Tensor = self.network(*plain)
        finally:
            self._call = None
        return answer

    def _behind(
        self, number: int, module: MotionModule, layer: nn.Module, taken: Any, made: Any
    ) -> Any:
        """Put a motion module behind a layer: a hook of torch, so the layers keep their names."""
        assert self._call is not None, "only called by `_run`"
        if isinstance(made, tuple):
            return (self._call.through(number, module, made[0]), *made[1:])
        return self._call.through(number, module, made)


def places_of(adapter: Adapter, unet: UNet2DConditionModel) -> tuple[Place, ...]:
    """Return all modules where they stand; ModelError, by name, for an adapter of another UNet."""
    try:
        return places_in(adapter.layout, unet.config)
    except ModelError as error:
        raise ModelError(f"motion adapter {adapter.name!r} is for another UNet: {error}") from error


def _chosen(places: Sequence[Place], levels: Collection[int] | None) -> tuple[Place, ...]:
    """Return the modules of some levels."""
    there = sorted({place.level for place in places})
    if levels is None:
        return tuple(places)
    if not levels or not set(levels) <= set(there):
        raise ConfigError(f"motion levels {sorted(levels)}: give some of {there}, 0 is the finest")
    return tuple(place for place in places if place.level in levels)


def module_at(place: Place, layout: Layout) -> MotionModule:
    """Return a module of the sizes that an adapter has in a place, with new weights."""
    return MotionModule(
        place.channels,
        layers=place.depth,
        heads=place.heads,
        max_length=layout.length,
        norm_groups=layout.groups,
    )


def _module(
    adapter: Adapter, place: Place, unet: UNet2DConditionModel, *, copies: bool
) -> MotionModule:
    """Return a module, in the type and on the device of the UNet.

    copies: it has weights of its own in any case.
    """
    layout = adapter.layout
    # On no device at first: random weights are not drawn that are thrown away.
    with torch.device("meta"):
        module = module_at(place, layout)
    table = sinusoids(layout.length, place.channels)[None]
    blocks = range(place.depth)
    told: Mapping[str, Tensor] = {
        **adapter.module_weights(place),
        **{f"transformer_blocks.{number}.pos_embed.pe": table for number in blocks},
    }
    own = {name: each.to(unet.device, unet.dtype, copy=copies) for name, each in told.items()}
    module.load_state_dict(own, assign=True)
    return module.train(unet.training)


def _add(unet: nn.Module, place: Place, module: MotionModule) -> None:
    """Add a module to its block; `motion_modules` are by number, others may be left out."""
    block_name, _, number = place.name.partition(".motion_modules.")
    block = unet.get_submodule(block_name)
    if "motion_modules" not in dict(block.named_children()):
        block.add_module("motion_modules", nn.Module())
    block.get_submodule("motion_modules").add_module(number, module)


def _each_frame(told: Tensor, clips: int, frames: int) -> Tensor:
    """Return what is told of each frame, [B * F, ...]."""
    return told if len(told) == clips * frames else told.repeat_interleave(frames, dim=0)
