"""The network of a model that reads a feature bank, and the bank: made when a stream asks for them.

Streams without stay with the plain network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from engines.binding import torch_dtype
from engines.spec import EngineSpec, TensorSpec
from streamgen.errors import ConfigError
from streamgen.models.extensions import MemoryLayer, memory_layers, slot_bytes, with_memory
from streamgen.models.loading import LoadedModel
from streamgen.models.memory_attention import MemoryDenoiser
from streamgen.models.ports import Ports
from streamgen.models.specs import further_inputs
from streamgen.temporal.bank import FeatureBank
from streamgen.temporal.reading import Bank, Kind

#: The UNets with memory, among the networks of a model, by the kinds that they read.
UNET_BANK, UNET_MOTION, UNET_BOTH = "unet_bank", "unet_motion", "unet_bank_motion"
Kinds = frozenset[Kind]
ROLES: Mapping[Kinds, str] = {
    frozenset(("bank",)): UNET_BANK,
    frozenset(("motion",)): UNET_MOTION,
    frozenset(("bank", "motion")): UNET_BOTH,
}
#: A slot is for one step of one stream: this is 16 streams of 4 steps, where memory allows it.
MOST_SLOTS, LEAST_SLOTS = 64, 4
SLAB_BYTES = 2**30


class BankNetwork:
    """What the UNet with memory is, and the slabs that all its forms read, whatever its weights."""

    def __init__(
        self, model: LoadedModel, *, plain: Callable[[int], EngineSpec], device: torch.device
    ) -> None:
        """plain: returns the specification of the network without memory for a batch size."""
        self._model = model
        self._plain = plain
        self._device = device

    def spec(self, batch: int) -> EngineSpec:
        """Return the specification of the network."""
        return with_memory(self._plain(batch), self.layers, slots=self.slots, frames=1)

    @cached_property
    def module(self) -> MemoryDenoiser:
        """The network; its weights are those of the plain one."""
        unet = self._model.unet
        return MemoryDenoiser(unet, further_inputs(unet.config), self.layers)

    @cached_property
    def slabs(self) -> Mapping[str, Tensor]:
        """What the ports of all batch sizes are bound to, by name; empty at first."""
        named = (each for each in self.spec(1).inputs if each.name.startswith("memory_"))
        return empty_slabs((each for each in named if each.name != "memory_slot"), self._device)

    @cached_property
    def slots(self) -> int:
        """How many rows can have memory."""
        fitting = SLAB_BYTES // max(slot_bytes(self.layers), 1)
        return max(min(fitting, MOST_SLOTS), LEAST_SLOTS)

    @cached_property
    def bank(self) -> FeatureBank:
        """Keeps who has which slot of the slabs."""
        return FeatureBank(self.slabs)

    @cached_property
    def layers(self) -> list[MemoryLayer]:
        """The self-attentions whose keys and values are kept."""
        _, _, height, width = self._plain(1).inputs[0].shape
        return memory_layers(self._model.unet.config, (height, width))


def empty_slabs(tensors: Iterable[TensorSpec], device: torch.device) -> dict[str, Tensor]:
    """Return zeros for them, by name; on a CPU they take no memory until something is written."""
    return {each.name: _zeros(each, device) for each in tensors}


def _zeros(tensor: TensorSpec, device: torch.device) -> Tensor:
    if device.type != "cpu":
        return torch.zeros(tensor.usual_shape, dtype=torch_dtype(tensor), device=device)
    # The system has zeros to give, and what torch has it writes itself.
    return torch.from_numpy(np.zeros(tensor.usual_shape, dtype=tensor.dtype_name))


class RemembersRows(Protocol):
    """A network with memory: what it is, and the slabs that it reads."""

    def spec(self, batch: int) -> EngineSpec:
        """Return the specification of the network."""

    @property
    def module(self) -> nn.Module:
        """The network with the weights of the model."""

    @property
    def slabs(self) -> Mapping[str, Tensor]:
        """What the ports of all batch sizes are bound to, by name."""


class HasBank(Protocol):
    """What has the slabs of one kind."""

    @property
    def bank(self) -> Bank:
        """Keeps who has which slot of them."""


class Remembering:
    """Calls the UNets with memory of one set of ports."""

    def __init__(self, kept: Mapping[Kind, HasBank], ports: Ports) -> None:
        """kept: by kind, what there is a network for."""
        self._kept = kept
        self._ports = ports

    def banks(self, kinds: Kinds) -> Mapping[Kind, Bank]:
        """Return the banks of some kinds, where a network that reads them all is there.

        While it is still being built, on the ports' executor, those of one that reads some of them;
        none where there is none. Raises ConfigError for kinds that the model has not.
        """
        if unknown := sorted(kinds - self._kept.keys()):
            raise ConfigError(
                f"memory {', '.join(unknown)}: these engines have {', '.join(self._kept)}:"
                " set motion_strength to 0, or start with --motion"
            )
        found = kinds if kinds and self._ports.is_there(ROLES[kinds]) else self._ready(kinds)
        return {kind: self._kept[kind].bank for kind in sorted(found)}

    def _ready(self, kinds: Kinds) -> Kinds:
        """Return the kinds, some of these, that a network which is there already reads."""
        ready = self._ports.ready
        there = [some for some, role in ROLES.items() if some < kinds and (role, 1) in ready]
        # Of two, motion: it is among the networks that everything begins with.
        return max(there, key=lambda some: "motion" in some, default=frozenset())

    def __call__(self, kinds: Kinds, /, **values: Tensor) -> Mapping[str, Tensor]:
        """Return the answer and what is new, by name, valid until the next call.

        values: what `Engines.unet` takes by the names in the specification, and what the banks of
        these kinds told.
        """
        return self._ports.run_all(ROLES[kinds], **values)
