"""What weights become with LoRAs at their scales: pure functions, computed in fp32.

What comes out depends on the LoRAs and scales alone, bit for bit, not on the order that they are
given in nor on what was there before: sums are made anew from the base, in the order of digests.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from streamgen.errors import ConfigError, ModelError
from streamgen.lora.fit import FittedLora, WeightName
from streamgen.lora.names import Network
from streamgen.lora.read import Factors


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaled:
    """A LoRA at a scale: 0 is without it, 1 as it was trained, below 0 the contrary of it."""

    lora: FittedLora
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale):
            raise ConfigError(f"LoRA {self.lora.name!r}: scale {self.scale}: give a finite number")


Stack: TypeAlias = Sequence[Scaled]


def check_stack(stack: Stack) -> None:
    """Raise ConfigError where a LoRA is given twice: one has one scale."""
    names: dict[str, str] = {}
    for each in stack:
        if (before := names.get(each.lora.digest)) is not None:
            raise ConfigError(f"LoRAs {before!r}, {each.lora.name!r} are one file: give it once")
        names[each.lora.digest] = each.lora.name


def within(stack: Stack, networks: Collection[Network]) -> tuple[Scaled, ...]:
    """Return a stack of what it changes in some networks, and nothing of the others."""
    return tuple(replace(each, lora=_part(each.lora, networks)) for each in stack)


def _part(lora: FittedLora, networks: Collection[Network]) -> FittedLora:
    own = {name: factors for name, factors in lora.factors.items() if name[0] in networks}
    return replace(lora, factors=own)


def touched(stack: Stack) -> frozenset[WeightName]:
    """Return the weights that differ from the base's."""
    return frozenset(name for each in stack if each.scale for name in each.lora.factors)


def changes(before: Stack, after: Stack) -> tuple[WeightName, ...]:
    """Return the weights that two stacks leave different, in the order of their names.

    With those that only one of the two touches: whoever goes from A to B and back to A has to
    supply what A, and what B, touched.
    """
    names = sorted(touched(before) | touched(after))
    return tuple(name for name in names if _recipe(before, name) != _recipe(after, name))


def delta_of(factors: Factors, shape: Sequence[int]) -> Tensor:
    """Return what is added to a weight at scale 1, fp32 of its shape, which may be a kernel's."""
    return (factors.strength * (factors.up.float() @ factors.down.float())).view(*shape)


def merged(base: Tensor, stack: Stack, name: WeightName) -> Tensor:
    """Return a weight with all its LoRAs, new, in the type and on the device of the base.

    Raises ModelError where that type cannot hold it.
    """
    adding = _ordered(stack, name)
    if not adding:
        return base.detach().clone()
    total = base.detach().float().flatten(1)
    for each in adding:
        factors = each.lora.factors[name]
        up, down = (part.to(base.device, torch.float32) for part in (factors.up, factors.down))
        total = torch.addmm(total, up, down, alpha=each.scale * factors.strength)
    made = total.view(base.shape).to(base.dtype, copy=True)
    if not bool(torch.isfinite(made).all()):
        told = ", ".join(f"{each.lora.name!r} at {each.scale:g}" for each in stack)
        raise ModelError(f"LoRA {told}: {name[1]!r} is beyond {base.dtype}: use smaller scales")
    return made


def _ordered(stack: Stack, name: WeightName) -> list[Scaled]:
    """Return those that change a weight, in the order that they are added in."""
    taking = (each for each in stack if each.scale and name in each.lora.factors)
    return sorted(taking, key=lambda each: each.lora.digest)


def _recipe(stack: Stack, name: WeightName) -> list[tuple[str, float]]:
    return [(each.lora.digest, each.scale) for each in _ordered(stack, name)]
