"""Sentences that name a style, a palette and a light, and the pictures they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from streamgen.training.styles import ACCENTS, STYLES, Style

T = TypeVar("T")

_SUBJECTS = (
    "a portrait of a man",
    "a portrait of a woman",
    "a person",
    "people",
    "a face",
    "my face",
    "a girl with glasses",
    "a man at a desk",
    "a dancer",
    "a hand",
    "a cat",
    "a dog in a park",
    "a bird",
    "a street with cars",
    "a city",
    "a house",
    "a room",
    "a kitchen table",
    "a cup of coffee",
    "flowers",
    "trees and mountains",
    "a landscape",
    "the sea",
    "a screen with text",
    "a picture",
    "a scene",
    "a still life",
    "everything",
)
_FRAMES = (
    "{subject}, {wish}",
    "{wish}, {subject}",
    "{subject} in the style of {wish}",
    "{subject} as {wish}",
    "{subject} in {wish} style",
    "turn it into {wish}",
    "make it {wish}",
    "make me look like {wish}",
    "{wish} of {subject}",
    "{wish} style",
    "a {wish}",
    "{wish}",
    "{wish}",
    "{wish}",
)
_PRAISE = ("masterpiece", "beautiful", "highly detailed", "best quality", "4k", "soft", "lovely")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caption asks for: a style or none, an accent or none."""

    style: Style | None
    accent: Style | None

    def draw(self, image: Tensor) -> Tensor:
        """Return the picture that the wish asks for; [B, 3, H, W] in [0, 1]."""
        for step in (self.style, self.accent):
            image = step.draw(image) if step else image
        return image


class Captions:
    """Draws wishes and sentences for them."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        weights = torch.tensor([style.weight for style in STYLES])
        self.weights = weights / weights.sum()

    def draw_wish(self) -> Wish:
        """Return a random wish: 90 % name a style, 21 % an accent."""
        number = self._random()
        style = None
        if number > 0.1:
            style = STYLES[int(torch.multinomial(self.weights, 1, generator=self.generator))]
        wants_accent = self._random() < (0.18 if style else 0.5)
        return Wish(style=style, accent=self._pick(ACCENTS) if wants_accent else None)

    def describe(self, wish: Wish) -> str:
        """Return a sentence for a wish; the empty one for no wish at all, now and then."""
        parts = [self._pick(part.words) for part in (wish.style, wish.accent) if part]
        if len(parts) == 2 and self._random() < 0.4:
            parts.reverse()
        if not parts:
            return "" if self._random() < 0.7 else self._pick(_SUBJECTS)
        phrase = self._pick((", ", " ", " with ") if len(parts) == 2 else ("",)).join(parts)
        sentence = self._pick(_FRAMES).format(subject=self._pick(_SUBJECTS), wish=phrase)
        if self._random() < 0.2:
            sentence = f"{sentence}, {self._pick(_PRAISE)}"
        return sentence

    def _random(self) -> float:
        return float(torch.rand((), generator=self.generator))

    def _pick(self, items: tuple[T, ...]) -> T:
        return items[int(torch.randint(0, len(items), (), generator=self.generator))]
