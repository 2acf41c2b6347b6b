"""Finds the weights of a module in what was built of it, even those that look like others.

Compilers merge constants that are equal, and drop those that change nothing (times 1, plus 0). So
weights that could be mistaken are built with marks in their stead, numbers of their own, and are
given back once it is known where they are.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engines import swap
from engines.swap import KnownWeight, Place, WeightPlaces

_SAMPLES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where the weights of a module are; marked: what is yet to be put in the place of marks."""

    places: WeightPlaces
    marked: Mapping[str, Tensor]

    def missing(self) -> dict[str, Tensor]:
        """Return the values of the marked weights, by the names of their constants."""
        return self.places.put(self.marked, role="marks")


def marking_hash() -> str:
    """Hash this file and the one of places: changed, they write another artifact."""
    files = (Path(__file__), Path(swap.__file__))
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def located(module: nn.Module, build: Callable[[nn.Module], Mapping[str, Tensor]]) -> Located:
    """Build a module and find its weights among the constants.

    build: makes something of a module that is like this one but for the marks, and returns its
    fp32 constants by name. What it made last, if it made several, is the one to go on with.
    """
    folded: set[str] = set()
    while True:
        stand_in, own = marked(module, but=folded)
        constants = build(stand_in)
        weights = weights_of(stand_in)
        # Those without a mark are not looked for: another constant may be just like them.
        found = find({name: weights[name] for name in weights.keys() - folded}, constants)
        lost = {name for name in own if not found[name]}
        if not lost:
            break
        folded |= lost  # they are in what was computed of them, which has to be right
    known = {
        name: KnownWeight(
            shape=list(weight.shape),
            places=tuple(
                Place(constant=constant, shape=list(constants[constant].shape), is_turned=is_turned)
                for constant, is_turned in found.get(name, ())
            ),
        )
        for name, weight in weights.items()
    }
    return Located(places=WeightPlaces(weights=known), marked=own)


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Return all that a module keeps, by name; one tensor may have several."""
    kept = module.state_dict(keep_vars=True)
    return {name: each for name, each in kept.items() if isinstance(each, Tensor)}


def marked(module: nn.Module, *, but: Collection[str] = ()) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a module like this one in which no weight is like another, and what it has not.

    It shares all weights that need no mark. but: names of weights that get none.
    """
    weights = weights_of(module)
    alike = _alike(weights) - set(but)
    generator = torch.Generator().manual_seed(0)
    marks: dict[object, Tensor] = {}
    known: dict[int, object] = {id(each): each for each in weights.values()}
    for name in sorted(alike):
        weight = weights[name]
        if _whose(weight) not in marks:
            # From a half to one and a half: of whatever it is taken the root or the logarithm.
            drawn = torch.rand(weight.shape, generator=generator).to(weight.dtype) + 0.5
            marks[_whose(weight)] = drawn
        mark = marks[_whose(weight)]
        is_parameter = isinstance(weight, nn.Parameter)
        known[id(weight)] = nn.Parameter(mark, weight.requires_grad) if is_parameter else mark
    own = {name: weights[name].detach() for name in sorted(alike)}
    return (copy.deepcopy(module, known) if own else module), own


def find(
    weights: Mapping[str, Tensor], constants: Mapping[str, Tensor]
) -> dict[str, list[tuple[str, bool]]]:
    """Return the constants that have the numbers of each weight, and whether they are turned.

    Their shapes may be others, as those of the biases of convolutions are. What is no float is
    not looked for.
    """
    by_look: dict[object, list[str]] = {}
    for constant, held in constants.items():
        by_look.setdefault(_look(held), []).append(constant)
    found: dict[str, list[tuple[str, bool]]] = {}
    for name, weight in weights.items():
        can_turn = weight.ndim == 2 and min(weight.shape) > 1
        found[name] = [
            (constant, is_turned)
            for is_turned in ((False, True) if can_turn else (False,))
            for value in [weight.detach().t() if is_turned else weight.detach()]
            for constant in by_look.get(_look(value), ())
            if weight.is_floating_point()
            and torch.equal(constants[constant].reshape(-1), value.reshape(-1))
        ]
    return found


def _alike(weights: Mapping[str, Tensor]) -> set[str]:
    """Return the names of those weights that could be taken for others, or for nothing."""
    owners: dict[object, set[object]] = {}
    floats = {name: each for name, each in weights.items() if each.is_floating_point()}
    looks = {name: _look(each) for name, each in floats.items() if each.numel()}
    for name, look in looks.items():
        owners.setdefault(look, set()).add(_whose(weights[name]))
    return {
        name
        for name, look in looks.items()
        if len(owners[look]) > 1
        or bool((_sampled(weights[name]) == _sampled(weights[name])[0]).all())
    }


def _whose(weight: Tensor) -> object:
    """Return what is the same for weights that are one: what changes this one changes that."""
    return weight.data_ptr(), weight.shape, weight.stride()


def _look(value: Tensor) -> object:
    """Return what differs for most tensors that differ, from a few of their numbers."""
    sampled = _sampled(value).contiguous()
    return value.numel(), value.dtype, sampled.view(torch.uint8).numpy().tobytes()


def _sampled(value: Tensor) -> Tensor:
    flat = value.detach()
    count = flat.numel()
    if flat.ndim == 0 or count == 0:
        return flat.reshape(-1)
    at = torch.arange(0, count, max(1, count // _SAMPLES))
    return flat[torch.unravel_index(at, flat.shape)]
