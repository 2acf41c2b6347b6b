"""Sentences that name a style, a palette and a light, and the pictures they ask for."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from streamgen.training.styles import ACCENTS, STYLES, Style

T = TypeVar("T")
_LETTERS = tuple(string.ascii_lowercase)

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
    "two friends laughing",
    "an old man with a beard",
    "a child on a swing",
    "my hands on the keyboard",
    "a bicycle by the wall",
    "a bridge over a river",
    "a train at the station",
    "a football match",
    "a guitar player on stage",
    "a bowl of fruit",
    "a red car in the rain",
    "an empty corridor",
    "a garden behind the house",
    "boats in the harbour",
    "a desk lamp",
    "clouds over the fields",
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
    "please draw {subject} as {wish}",
    "i would like {wish} of {subject}",
    "can you show {subject}, but {wish}",
    "{subject}, all in {wish}, nothing else",
    "this is {subject} and it should be {wish}",
    "give {subject} a {wish} look",
    "{wish} version of {subject}",
    "what if {subject} were {wish}",
    "an image of {subject} done in {wish} by an artist",
    "{filler} {wish} {filler}",
    "{subject} {filler}, {wish}",
    "{filler} {filler} {wish}, {subject}",
    "{wish}",
    "{wish}",
    "{wish}",
)
#: Words that mean nothing here, so that they do not disturb.
_FILLER_TEXT = (
    "with the and of my this one today again quick slow tiny huge old new fine nice real full open"
    " left right over under behind front morning monday window glass table road stone water leaf"
    " horse fish tree mountain music dance smile hat coat shoe phone laptop camera light-hearted"
    " please maybe just like some more less very best great simple strange quiet loud round tall"
    " trending render artwork image photo picture style scene by for from into on at"
)
_FILLERS = tuple(_FILLER_TEXT.split())
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
            return self._nothing_asked()
        phrase = self._pick((", ", " ", " with ") if len(parts) == 2 else ("",)).join(parts)
        sentence = self._pick(_FRAMES).format(
            subject=self._pick(_SUBJECTS), wish=phrase, filler=self._filler()
        )
        if self._random() < 0.2:
            sentence = f"{sentence}, {self._pick(_PRAISE)}"
        return sentence

    def _nothing_asked(self) -> str:
        """Return a sentence that leaves the picture alone: none, a subject, or nonsense."""
        number = self._random()
        if number < 0.5:
            return ""
        if number < 0.7:
            return self._pick(_SUBJECTS)
        return " ".join(self._filler() for _ in range(1 + int(self._random() * 4)))

    def _filler(self) -> str:
        """Return a word that means nothing here, now and then one that means nothing at all."""
        if self._random() < 0.7:
            return self._pick(_FILLERS)
        return "".join(self._pick(_LETTERS) for _ in range(2 + int(self._random() * 8)))

    def _random(self) -> float:
        return float(torch.rand((), generator=self.generator))

    def _pick(self, items: tuple[T, ...]) -> T:
        return items[int(torch.randint(0, len(items), (), generator=self.generator))]
