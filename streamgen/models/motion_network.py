"""The network of a model that has motion modules, and the rings that it looks at.

Streams that are drawn without stay with the plain network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from engines.spec import EngineSpec
from streamgen.config import AUTO, MOTION_MEMORY_MB, NO_MOTION, StreamConfig
from streamgen.errors import ConfigError
from streamgen.models.both_memories import BothMemories
from streamgen.models.loading import LoadedModel
from streamgen.models.motion_extension import rings_of, slabs_among, with_motion
from streamgen.models.registry import with_motion as row_with_motion
from streamgen.models.remembering import LEAST_SLOTS, MOST_SLOTS, BankNetwork, empty_slabs
from streamgen.models.specs import further_inputs
from streamgen.motion.budget import Kind, MotionMemory, fitting, row_bytes
from streamgen.motion.layouts import Place
from streamgen.motion.live import LiveAdapter, live_adapter
from streamgen.motion.unet import MotionUnet, places_of
from streamgen.temporal.rings import RingBank

_MIB = 2**20
#: Who tries a network out fills all its slabs, a few times over; and it draws few streams.
_MOST_ON_CPU = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionFacts:
    """What was chosen for the motion modules of a model, for people to read.

    window: frames that one is drawn with, itself among them; sinks: of those, the first ones of a
    stream. kind: how numbers are kept. levels: that have modules, 0 is the finest; halved: of
    those, the ones that see half of the frames. row_bytes: that a step of a stream keeps; rows: of
    them there is room for.
    """

    adapter: str
    window: int
    sinks: int
    kind: Kind
    levels: tuple[int, ...]
    halved: tuple[int, ...]
    row_bytes: int
    rows: int

    def __str__(self) -> str:
        sinks = f", the first {self.sinks} of a stream among them" if self.sinks else ""
        half = "".join(f", of half as many on level {k}" for k in self.halved)
        return (
            f"motion adapter {self.adapter}: a window of {self.window} frames{sinks},"
            f" on levels {', '.join(map(str, self.levels))}"
            f"{half}; {self.row_bytes / _MIB:.1f} MiB a row in {self.kind}, room for {self.rows}"
        )


class MotionNetwork:
    """What the UNet with motion modules is, and the slabs that all its forms read."""

    def __init__(
        self,
        model: LoadedModel,
        *,
        plain: Callable[[int], EngineSpec],
        device: torch.device,
        budget_mb: int | None,
    ) -> None:
        """plain: returns the specification of the network without memory for a batch size.

        model: with a live adapter. budget_mb: for the slabs of all rows, in MiB; None: the usual.
        """
        assert model.motion is not None, "who makes one asks for its network"
        self._model = model
        self._live: LiveAdapter = model.motion
        self._plain = plain
        self._device = device
        self._budget = (MOTION_MEMORY_MB if budget_mb is None else budget_mb) * _MIB

    def spec(self, batch: int) -> EngineSpec:
        """Return the specification of the network."""
        return self.added(self._plain(batch))

    def added(self, spec: EngineSpec) -> EngineSpec:
        """Return the specification of a network with what motion modules add to it."""
        return with_motion(spec, self._places, self.memory, rows=self.slots)

    @cached_property
    def module(self) -> MotionUnet:
        """The network; its weights are those of the plain one and of the adapter."""
        return self.made()

    @cached_property
    def whole(self) -> nn.Module:
        """The UNet with the modules of all levels, whether there is memory for them or not.

        It is what LoRAs are made for.
        """
        if len(self.module.places) == len(self._places):
            return self.module.unet
        return MotionUnet(self._model.unet, self._live.adapter, shares=True).unet

    def made(self) -> MotionUnet:
        """Return a network, new, which shares its weights with the others."""
        unet = self._model.unet
        return MotionUnet(
            unet,
            self._live.adapter,
            names=further_inputs(unet.config),
            levels=sorted(rings_of(self._places, self.memory)),
            shares=True,
        )

    @cached_property
    def memory(self) -> MotionMemory:
        """What is kept of each row."""
        # OpenVINO makes floats of halves with every frame, of all that there are; of the others it
        # picks what a batch needs (seen in its graphs, 2026.4).
        kinds: tuple[Kind, ...] = ("float16", "int8")
        if self._device.type == "cpu":
            kinds = ("float32", "int8")
        budget = self._budget // LEAST_SLOTS
        try:
            return fitting(
                self._places, self._live.ring, latent=self._latent, budget=budget, kinds=kinds
            )
        except ConfigError as error:
            raise ConfigError(
                f"motion_memory_mb {self._budget // _MIB}, for at least {LEAST_SLOTS} rows: {error}"
            ) from error

    @cached_property
    def slabs(self) -> Mapping[str, Tensor]:
        """What the ports of all batch sizes are bound to, by name; empty at first."""
        return empty_slabs(slabs_among(self.spec(1)), self._device)

    @cached_property
    def slots(self) -> int:
        """How many rows can have memory."""
        most = _MOST_ON_CPU if self._device.type == "cpu" else MOST_SLOTS
        return max(min(self._budget // self._row_bytes, most), LEAST_SLOTS)

    @cached_property
    def bank(self) -> RingBank:
        """Keeps who has which slot of the slabs."""
        return RingBank(self.slabs, rings_of(self._places, self.memory))

    @property
    def facts(self) -> MotionFacts:
        """What was chosen."""
        ring = self._live.ring
        rings = rings_of(self._places, self.memory)
        return MotionFacts(
            adapter=self._live.adapter.name,
            window=ring.slots + 1,
            sinks=ring.sinks,
            kind=self.memory.kind,
            levels=tuple(sorted(rings)),
            halved=tuple(sorted(level for level, own in rings.items() if own != ring)),
            row_bytes=self._row_bytes,
            rows=self.slots,
        )

    @cached_property
    def _places(self) -> tuple[Place, ...]:
        return places_of(self._live.adapter, self._model.unet)

    @property
    def _row_bytes(self) -> int:
        return row_bytes(self._places, self.memory, latent=self._latent)

    @property
    def _latent(self) -> tuple[int, int]:
        *_, height, width = self._plain(1).inputs[0].usual_shape
        return height, width


class BothNetwork:
    """The network that has motion modules and reads a feature bank, too."""

    def __init__(self, bank: BankNetwork, motion: MotionNetwork) -> None:
        self._bank = bank
        self._motion = motion

    def spec(self, batch: int) -> EngineSpec:
        """Return the specification of the network."""
        return self._motion.added(self._bank.spec(batch))

    @cached_property
    def module(self) -> BothMemories:
        """The network; it shares its weights with the others."""
        return BothMemories(self._motion.made(), self._bank.layers)

    @property
    def slabs(self) -> Mapping[str, Tensor]:
        """What the ports of all batch sizes are bound to, by name."""
        return {**self._bank.slabs, **self._motion.slabs}


def with_adapter(model: LoadedModel, config: StreamConfig) -> LoadedModel:
    """Return a model with the motion adapter that is asked for, if one is; slow.

    Raises ModelError where that is not for the model's UNet, and what `live_adapter` raises.
    """
    name = row_with_motion(model.row, config.motion).motion
    if name == NO_MOTION:
        if config.motion == AUTO and (config.motion_window, config.motion_sinks) != (None, None):
            raise ConfigError(
                f"a window or sinks for motion: the model {model.row.name!r} has no motion adapter"
                " of its own: name one with --motion"
            )
        return model
    live = live_adapter(name, window=config.motion_window, sinks=config.motion_sinks)
    places_of(live.adapter, model.unet)
    return replace(model, motion=live)
