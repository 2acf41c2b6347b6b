"""How much a picture drawn with some controls says about one drawn with others; pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable

from streamgen.controls import Controls, LoraScale, Prompt

#: Where one of these is another, so is the picture.
_DECISIVE = ("guidance", "negative_prompt", "prompt_blend", "noise")
#: Where one of these numbers is another by so much, so is the picture.
_FAR = {"guidance_scale": 2.0, "delta": 1.0, "image_guidance_scale": 2.0}
_FAR_INDEX = 10.0


def likeness(before: Controls, now: Controls) -> float:
    """Return how much of a picture stays as it is when the controls change, in [0, 1].

    1 where nothing changed that the picture is made of; 0 for another prompt, seed, number of steps
    or kind of guidance. While these fade over in time, each picture is nearly as the last one: of
    prompts and seeds counts the share that both sides have, of numbers the distance.
    """
    if before is now:
        return 1.0
    if any(getattr(before, name) != getattr(now, name) for name in _DECISIVE):
        return 0.0
    first, second = before.indices, now.indices
    if len(first) != len(second):
        return 0.0
    apart = max((abs(a - b) for a, b in zip(first, second, strict=True)), default=0)
    left = max(1 - apart / _FAR_INDEX, 0.0)
    for name, far in _FAR.items():
        left *= max(1 - abs(getattr(before, name) - getattr(now, name)) / far, 0.0)
    left *= _shared_loras(before.loras, now.loras)
    return left * _shared_prompts(before.prompts, now.prompts) * _shared_noise(before, now)


def _shared_loras(before: Iterable[LoraScale], now: Iterable[LoraScale]) -> float:
    """Return 1 less the distance of the scales, at least 0; one that is not there is at 0."""
    first, second = ({lora.name: lora.scale for lora in side} for side in (before, now))
    names = first.keys() | second.keys()
    apart = sum(abs(first.get(name, 0.0) - second.get(name, 0.0)) for name in names)
    return max(1 - apart, 0.0)


def _shared_prompts(before: Iterable[Prompt], now: Iterable[Prompt]) -> float:
    """Return which part of the weight two mixtures have in common."""
    if before == now:
        return 1.0
    first, second = _weights(before), _weights(now)
    return sum(min(first.get(text, 0.0), weight) for text, weight in second.items())


def _weights(prompts: Iterable[Prompt]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for prompt in prompts:
        weights[prompt.text] = weights.get(prompt.text, 0.0) + prompt.weight
    total = sum(weights.values())
    return {text: weight / total for text, weight in weights.items()}


def _shared_noise(before: Controls, now: Controls) -> float:
    """Return the correlation of two mixtures of noises, which add up in squares."""
    first = {seed.number: seed.weight for seed in before.noises}
    second = {seed.number: seed.weight for seed in now.noises}
    if first == second:
        return 1.0
    product = sum(weight * second.get(number, 0.0) for number, weight in first.items())
    return product / math.hypot(*first.values()) / math.hypot(*second.values())
