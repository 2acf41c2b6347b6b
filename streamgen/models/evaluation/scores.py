"""The scores of a model that redraws in styles, against the filters that it learned from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from streamgen.frame import Pixels
from streamgen.models.evaluation.features import Vector, look_of, sharpness
from streamgen.quality import edge_ssim, psnr
from streamgen.training.styles import STYLES

SENTENCES = Path(__file__).parent / "sentences.json"
NONSENSE = ("qwzx blorf", "mxyzptlk 77 ##", "lorem ipsum dolor sit amet", "zzzzzzzz")
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
BLOCK_PX = 8

Draw = Callable[..., Pixels]


def reference_of(style: str, picture: Pixels) -> Pixels:
    """Return a picture redrawn by the filter of a style."""
    [filtered] = [row.draw for row in STYLES if row.name == style]
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    drawn = filtered(image).clamp(0, 1)[0].permute(1, 2, 0)
    pixels: Pixels = (drawn * 255).round().to(torch.uint8).contiguous().numpy()
    return pixels


class References:
    """Every picture in every style, and the features of each, scaled to compare."""

    def __init__(self, pictures: Sequence[Pixels]) -> None:
        self.pictures = list(pictures)
        self.names = [style.name for style in STYLES]
        self.drawn = [[reference_of(name, one) for name in self.names] for one in pictures]
        self.looks = np.array([[look_of(each) for each in row] for row in self.drawn])
        # A feature weighs as much as it varies from style to style.
        self.unit = self.looks.std(axis=1).mean(axis=0) + 1e-3

    def nearest(self, number: int, drawn: Pixels) -> str:
        """Return the style whose reference of a picture looks most like `drawn`."""
        away = [self._distance(look_of(drawn), look) for look in self.looks[number]]
        return self.names[int(np.argmin(away))]

    def distance(self, number: int, style: str, drawn: Pixels) -> float:
        """Return how far the look of `drawn` is from the reference, about 1 for another style."""
        return self._distance(look_of(drawn), self.looks[number, self.names.index(style)])

    def of(self, number: int, style: str) -> Pixels:
        return self.drawn[number][self.names.index(style)]

    def _distance(self, a: Vector, b: Vector) -> float:
        return float(np.sqrt(np.mean(((a - b) / self.unit) ** 2)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleScore:
    """What one style scores; each the mean over the pictures."""

    hits: float
    edge_ratio: float
    sharpness_ratio: float
    steps_gain: float
    psnr: float


def score_style(name: str, references: References, draw: Draw) -> StyleScore:
    """Redraw every picture in a style with one step and with four, and compare."""
    hits, edges, sharp, near, first, later = [], [], [], [], [], []
    for number, picture in enumerate(references.pictures):
        wanted = references.of(number, name)
        one, four = (draw(picture, name, steps=steps) for steps in (1, 4))
        hits.append(references.nearest(number, one) == name)
        edges.append((edge_ssim(one, picture), edge_ssim(wanted, picture)))
        sharp.append((sharpness(one), sharpness(wanted)))
        near.append(psnr(one, wanted))
        first.append(references.distance(number, name, one))
        later.append(references.distance(number, name, four))
    return StyleScore(
        hits=float(np.mean(hits)),
        edge_ratio=_ratio(edges),
        sharpness_ratio=_ratio(sharp),
        steps_gain=sum(later) / max(sum(first), 1e-9),
        psnr=float(np.mean(near)),
    )


def score_styles(references: References, draw: Draw) -> dict[str, StyleScore]:
    return {name: score_style(name, references, draw) for name in references.names}


def strength_curve(references: References, draw: Draw) -> list[float]:
    """Return, per strength, the PSNR to the input in dB, over all styles and pictures."""
    return [
        float(
            np.mean(
                [
                    min(psnr(draw(picture, name, strength=strength), picture), 60.0)
                    for picture in references.pictures
                    for name in references.names
                ]
            )
        )
        for strength in STRENGTHS
    ]


def sentence_score(references: References, draw: Draw) -> tuple[float, list[str]]:
    """Return the share of free sentences drawn in the style they mean, and the others.

    Sentence k redraws picture k, in turn.
    """
    rows: list[Mapping[str, str]] = json.loads(SENTENCES.read_text(encoding="utf-8"))
    missed = []
    for number, row in enumerate(rows):
        chosen = number % len(references.pictures)
        taken_for = references.nearest(chosen, draw(references.pictures[chosen], row["sentence"]))
        if taken_for != row["style"]:
            missed.append(f"{row['sentence']} ({row['style']}): {taken_for}")
    return 1 - len(missed) / len(rows), missed


def plain_psnr(pictures: Sequence[Pixels], draw: Draw, prompts: Sequence[str]) -> float:
    """Return the mean PSNR to the input in dB for sentences that ask for nothing."""
    return float(np.mean([psnr(draw(one, prompt), one) for one in pictures for prompt in prompts]))


def colour_shift(given: Pixels, picture: Pixels) -> float:
    """Return how far the mean of the worst channel moved, in levels."""
    means = (one.reshape(-1, 3).mean(axis=0) for one in (given, picture))
    return float(np.abs(np.subtract(*means)).max())


def blockiness(given: Pixels, picture: Pixels) -> float:
    """Return how much more steps between blocks of 8 x 8 px stand out than in the input; 1: not."""
    return _seams(given) / _seams(picture)


def _seams(picture: Pixels) -> float:
    luma = picture.astype(np.float64).mean(axis=2)
    shares = []
    for plane in (luma, luma.T):
        steps = np.abs(np.diff(plane, axis=0)).mean(axis=1)
        at_seam = np.arange(1, len(plane)) % BLOCK_PX == 0
        shares.append(steps[at_seam].mean() / max(steps[~at_seam].mean(), 1e-6))
    return float(np.mean(shares))


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    got, wanted = np.array(pairs).mean(axis=0)
    return float(got / max(wanted, 1e-6))
