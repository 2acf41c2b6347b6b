"""The network of a model that reads a feature bank, and the bank: made when a stream asks for them.

Streams without stay with the plain network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor

from engines.binding import torch_dtype
from engines.spec import EngineSpec
from streamgen.models.extensions import MemoryLayer, memory_layers, slot_bytes, with_memory
from streamgen.models.loading import LoadedModel
from streamgen.models.memory_attention import MemoryDenoiser
from streamgen.models.ports import Ports
from streamgen.models.specs import further_inputs
from streamgen.temporal.bank import FeatureBank

#: The UNet with memory, among the networks of a model.
UNET_BANK = "unet_bank"
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
        return with_memory(self._plain(batch), self._layers, slots=self.slots, frames=1)

    @cached_property
    def module(self) -> MemoryDenoiser:
        """The network; its weights are those of the plain one."""
        unet = self._model.unet
        return MemoryDenoiser(unet, further_inputs(unet.config), self._layers)

    @cached_property
    def slabs(self) -> Mapping[str, Tensor]:
        """What the ports of all batch sizes are bound to, by name; empty at first."""
        return {
            each.name: torch.zeros(each.usual_shape, dtype=torch_dtype(each), device=self._device)
            for each in self.spec(1).inputs
            if each.name.startswith("memory_") and each.name != "memory_slot"
        }

    @cached_property
    def slots(self) -> int:
        """How many rows can have memory."""
        fitting = SLAB_BYTES // max(slot_bytes(self._layers), 1)
        return max(min(fitting, MOST_SLOTS), LEAST_SLOTS)

    @cached_property
    def bank(self) -> FeatureBank:
        """Keeps who has which slot of the slabs."""
        return FeatureBank(self.slabs)

    @cached_property
    def _layers(self) -> list[MemoryLayer]:
        _, _, height, width = self._plain(1).inputs[0].shape
        return memory_layers(self._model.unet.config, (height, width))


class Remembering:
    """Calls the UNet with memory of one set of ports."""

    def __init__(self, network: BankNetwork, ports: Ports) -> None:
        self._network = network
        self._ports = ports

    @property
    def slots(self) -> int:
        """How many rows can have memory."""
        return self._network.slots

    def bank(self) -> FeatureBank | None:
        """Return the bank; None while the network is still being built, on the ports' executor."""
        return self._network.bank if self._ports.is_there(UNET_BANK) else None

    def __call__(self, **values: Tensor) -> Mapping[str, Tensor]:
        """Return the answer and what is new, by name, valid until the next call.

        values: what `Engines.unet` takes by the names in the specification, and what the bank told.
        """
        return self._ports.run_all(UNET_BANK, **values)
