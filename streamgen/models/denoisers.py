"""The UNet in all its forms with the weights of one stack of LoRAs, and those weights swapped.

Weights are only swapped while nobody is drawn with them, so a swap may take as long as it takes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from weakref import ReferenceType, ref

from torch import Tensor, nn

from engines.protocol import EagerBackend
from streamgen.lora.copies import copy_with, named_within, supplied
from streamgen.lora.delta import Stack
from streamgen.lora.weights import Key, Weights, key_of
from streamgen.models.ports import Port, Ports
from streamgen.models.reading import networks_of
from streamgen.models.remembering import Remembering
from streamgen.models.workshop import UNETS, Workshop

logger = logging.getLogger(__name__)


class Denoisers:
    """Networks of all batch sizes that have the same weights; the first has the autoencoder, too.

    version: rises with every swap, after which graphs of these networks are captured anew.
    """

    def __init__(self, workshop: Workshop, *, executor: Executor | None, number: int = 0) -> None:
        """executor: as of `Ports`. number: what tells it from others of the workshop."""
        self.number = number
        self.version = 0
        self._workshop = workshop
        self._held: Stack = ()
        self._holder: ReferenceType[Weights] | None = None
        self._modules: dict[str, nn.Module] = {}
        sizes = workshop.choice.backend.batch_sizes
        self.ports = Ports(self._compile, sizes, executor=executor, admit=self._admit)
        self.memory = Remembering(workshop.banked, self.ports)

    def unet(self, x: Tensor, t: Tensor, text: Tensor, cond: dict[str, Tensor]) -> Tensor:
        """Return the model's answer to a batch, [B, C, h, w], valid until the next call."""
        return self.ports.run("unet", x=x, t=t, text=text, **cond)

    @property
    def key(self) -> Key:
        """What tells the weights here from others."""
        return key_of(self._held)

    @property
    def is_free(self) -> bool:
        """Whether nobody is drawn with these weights."""
        return self._holder is None or self._holder() is None

    def holds(self, weights: Weights) -> bool:
        """Tell whether these are the weights here."""
        return self._holder is not None and self._holder() is weights

    def take(self, weights: Weights) -> None:
        """Have these weights from now on; only while it is free, by one thread at a time.

        Raises what the backend and the LoRAs do; then it is free, with weights as before or none.
        """
        self._holder = None
        if weights.key != self.key:
            self._swap(weights.stack)
        self._holder = ref(weights)

    def _swap(self, stack: Stack) -> None:
        before = self._held
        try:
            self._put(before, stack)
        except Exception:
            self._undo(stack, before)
            raise

    def _put(self, before: Stack, after: Stack) -> None:
        delta = self._delta(before, after)
        with self.ports.changing() as change:
            self.version += 1
            change(_with(delta))
            self._held = after
        count = max(map(len, delta.values()))
        logger.info("weights %d: %d of them swapped", self.number, count)

    def _undo(self, failed: Stack, before: Stack) -> None:
        """Put back what was there before a swap that failed half way."""
        try:
            self._put(failed, before)
        # Whatever it is: what cannot be put right is compiled anew from the base.
        except Exception as error:  # noqa: BLE001
            logger.warning("weights %d: compiled anew, a swap failed: %s", self.number, error)
            self.ports.drop(UNETS)
            self._modules.clear()
            self._held = ()

    def _compile(self, role: str, batch: int) -> Port:
        return self._workshop.port(role, batch, self._module(role))

    def _admit(self, role: str, port: Port) -> Port:
        """Give what was compiled with the weights of the model those that are held here."""
        return _with(self._delta((), self._held))(role, port) if self._held else port

    def _module(self, role: str) -> nn.Module:
        """Return a network of its own where the backend runs and changes what it is given."""
        base = self._workshop.module(role)
        if role not in UNETS or not isinstance(self._workshop.choice.backend, EagerBackend):
            return base
        if role not in self._modules:
            self._modules[role] = copy_with(base, {})
        return self._modules[role]

    def _delta(self, before: Stack, after: Stack) -> dict[str, Mapping[str, Tensor]]:
        """Return the values that are to be put into each network: those that it has layers for."""
        workshop = self._workshop
        values = supplied(networks_of(workshop.model, workshop.learning), before, after)
        return {
            role: named_within(workshop.changeable(role, values), "unet", prefix=prefix)
            for role, prefix in UNETS.items()
        }


def _with(delta: Mapping[str, Mapping[str, Tensor]]) -> Callable[[str, Port], Port]:
    """Return what gives a port its part of new values."""
    return lambda role, port: port.swapped(delta.get(role, {}))
