"""Puts LoRAs into networks of torch in place, and takes them out again exactly."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from streamgen.lora.delta import Stack, changes, check_stack, merged
from streamgen.lora.fit import FittedLora, Networks, WeightName, fitted, weights_of
from streamgen.lora.names import Network
from streamgen.lora.read import Lora


class LoraSwitch:
    """Networks whose LoRAs can be changed; not while somebody runs or reads them.

    Of every weight that a LoRA has changed, the base is kept beside it, for as long as it is so.
    """

    def __init__(self, networks: Networks) -> None:
        """networks: with their base weights; from now on, nobody else changes those."""
        self._networks = networks
        self._weights = weights_of(networks)
        self._bases: dict[WeightName, Tensor] = {}
        self._stack: Stack = ()

    @property
    def stack(self) -> Stack:
        """What the networks hold now."""
        return self._stack

    def fit(self, lora: Lora) -> FittedLora:
        """Fit a LoRA to these networks; raises ModelError for one of another model."""
        return fitted(lora, self._networks)

    def apply(self, stack: Stack) -> tuple[WeightName, ...]:
        """Have the networks hold these LoRAs instead of those before; return what was changed.

        Nothing changes where it raises: ConfigError for a LoRA given twice, ModelError for weights
        that the networks' type cannot hold. Takes memory for a copy of all that changes.
        """
        check_stack(stack)
        names = changes(self._stack, stack)
        made = {name: merged(self._base(name), stack, name) for name in names}
        kept = {each for scaled in stack if scaled.scale for each in scaled.lora.factors}
        with torch.no_grad():
            for name, value in made.items():
                weight = self._weights[name]
                if name in kept and name not in self._bases:
                    self._bases[name] = weight.detach().clone()
                weight.copy_(value)
                if name not in kept:
                    del self._bases[name]
        self._stack = tuple(stack)
        return names

    def values(self, names: tuple[WeightName, ...], network: Network) -> Mapping[str, Tensor]:
        """Return weights of one network by their names in it, as they are now, not copied.

        With a prefix, that is what `engines.protocol.CompiledModule.swap_weights` takes.
        """
        return {name: self._weights[of, name].detach() for of, name in names if of == network}

    def _base(self, name: WeightName) -> Tensor:
        return self._bases.get(name, self._weights[name])
