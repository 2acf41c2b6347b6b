"""Weights with LoRAs for those who keep the base as it is: engines to swap, and copies to compile.

Nothing is changed in place, so a network may be run, read and exported meanwhile.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import chain
from typing import TypeVar

from torch import Tensor, nn

from streamgen.errors import ModelError
from streamgen.lora.delta import Stack, changes, check_stack, merged
from streamgen.lora.fit import Networks, WeightName, weights_of
from streamgen.lora.names import Network

Module = TypeVar("Module", bound=nn.Module)


def supplied(networks: Networks, before: Stack, after: Stack) -> dict[WeightName, Tensor]:
    """Return all weights that somebody with one stack needs to have the other, new tensors.

    networks: with their base weights. Where the stack before touched one and the stack after does
    not, that is the base's. Raises ConfigError and ModelError as `LoraSwitch.apply`.
    """
    check_stack(after)
    bases = weights_of(networks)
    return {name: merged(bases[name], after, name) for name in changes(before, after)}


def named_within(
    values: Mapping[WeightName, Tensor], network: Network, *, prefix: str = ""
) -> dict[str, Tensor]:
    """Return the values of one network by their names in it, or in a module that it is part of.

    prefix: of its names there, such as "unet." in a `models.networks.Denoiser`.
    """
    return {f"{prefix}{name}": value for (of, name), value in values.items() if of == network}


def copy_with(module: Module, values: Mapping[str, Tensor]) -> Module:
    """Return a copy of a module that has these values, and shares all its other weights.

    Raises ModelError for a name that is none of its parameters'.
    """
    own = dict(module.named_parameters(remove_duplicate=False))
    if unknown := sorted(values.keys() - own.keys()):
        raise ModelError(
            f"weight {unknown[0]!r}: this {type(module).__name__} has none of the name"
        )
    known: dict[int, object] = {id(each): each for each in chain(own.values(), module.buffers())}
    for name, value in values.items():
        known[id(own[name])] = nn.Parameter(value, requires_grad=own[name].requires_grad)
    return copy.deepcopy(module, known)
