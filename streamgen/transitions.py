"""Controls on their way from one state to another; pure functions that know no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from streamgen.controls import Controls, Prompt, Seed

# Beside the heaviest, a weight below this cannot be seen; without it, retargeting again and again
# would make the list of prompts longer and longer.
NEGLIGIBLE = 1e-4

Key = TypeVar("Key", str, int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Some controls, by name, under way from what they were; where to is not its business."""

    names: frozenset[str]
    start: Controls
    from_ns: int
    over_ns: int

    def share(self, now_ns: int) -> float:
        """Return how much of the way is behind, in [0, 1]."""
        return min(max((now_ns - self.from_ns) / self.over_ns, 0.0), 1.0)

    def without(self, names: frozenset[str]) -> Move:
        """Leave some controls to somebody else."""
        return replace(self, names=self.names - names)


def on_the_way(moves: Iterable[Move], end: Controls, now_ns: int) -> Controls:
    """Return `end`, where the controls of each move are only as far as the time."""
    values = dict(end)
    for move in moves:
        here = between(move.start, end, move.share(now_ns))
        values.update((name, getattr(here, name)) for name in move.names)
    return Controls(**values)


def between(start: Controls, end: Controls, share: float) -> Controls:
    """Return the controls at `share` of the way: at 0 `start`, at 1 exactly `end`.

    Numbers whose `transition` is linear are interpolated; prompts fade over, as do the noises,
    which then stand in `seeds`; everything else has the value of `end` as soon as share is above 0.
    Strength waits for nothing where levels are named by number: it is the one of `end`.
    """
    if share <= 0:
        return start
    if share >= 1:
        return end
    values = dict(end)
    for name in _linear_names():
        values[name] = _number(getattr(start, name), getattr(end, name), share)
    if start.t_index_list is not None or end.t_index_list is not None:
        values["strength"] = end.strength
    if start.prompts != end.prompts:
        values["prompts"] = _prompts(start.prompts, end.prompts, share)
    if start.noises != end.noises:
        values["seeds"] = _seeds(start.noises, end.noises, share)
    return Controls(**values)


def _linear_names() -> list[str]:
    described = {name: field.json_schema_extra for name, field in Controls.model_fields.items()}
    return [
        name
        for name, extra in described.items()
        if isinstance(extra, dict) and extra["transition"] == "linear"
    ]


def _number(start: float, end: float, share: float) -> float:
    """Interpolate; held between the two, as rounding must not leave the range of a control."""
    value = (1 - share) * start + share * end
    return min(max(value, min(start, end)), max(start, end))


def _prompts(start: Sequence[Prompt], end: Sequence[Prompt], share: float) -> tuple[Prompt, ...]:
    old = [(prompt.text, prompt.weight) for prompt in start]
    new = [(prompt.text, prompt.weight) for prompt in end]
    faded = _faded(old, new, share)
    return tuple(Prompt(text=text, weight=weight) for text, weight in faded.items())


def _seeds(start: Sequence[Seed], end: Sequence[Seed], share: float) -> tuple[Seed, ...]:
    old = [(seed.number, seed.weight) for seed in start]
    new = [(seed.number, seed.weight) for seed in end]
    faded = _faded(old, new, share)
    return tuple(Seed(number=number, weight=weight) for number, weight in faded.items())


def _faded(
    old: Sequence[tuple[Key, float]], new: Sequence[tuple[Key, float]], share: float
) -> dict[Key, float]:
    """Return the weights of both sides, which add up to 1 each, as far as the share."""
    weights: dict[Key, float] = {}
    for side, part in ((old, 1 - share), (new, share)):
        total = sum(weight for _, weight in side)
        for key, weight in side:
            weights[key] = weights.get(key, 0.0) + part * weight / total
    least = NEGLIGIBLE * max(weights.values())
    return {key: weight for key, weight in weights.items() if weight > least}
