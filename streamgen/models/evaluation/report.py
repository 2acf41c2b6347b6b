"""The whole evaluation of a model: every score, what is asked of it, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from streamgen.config import StreamConfig
from streamgen.frame import Pixels
from streamgen.models.evaluation.painter import Painter
from streamgen.models.evaluation.photos import Picture, read_pictures, square
from streamgen.models.evaluation.scores import (
    NONSENSE,
    STRENGTHS,
    References,
    StyleScore,
    blockiness,
    colour_shift,
    plain_psnr,
    score_styles,
    sentence_score,
    strength_curve,
)
from streamgen.quality import psnr

SIDE = 256
LARGE_SIDE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What is asked of a score."""

    at_least: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        is_enough = self.at_least is None or value >= self.at_least
        return is_enough and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}"


LIMITS: Mapping[str, Limit] = {
    "vae_psnr_256": Limit(at_least=26),
    "vae_psnr_512": Limit(at_least=27),
    "vae_colour_shift": Limit(at_most=3),
    "vae_blocks": Limit(at_most=1.1),
    "style_score": Limit(at_least=0.95),
    "style_worst": Limit(at_least=0.8),
    "edge_ratio": Limit(at_least=0.85),
    "sharpness_ratio": Limit(at_least=0.9),
    "steps_gain": Limit(at_most=0.9),
    "strength_zero_psnr": Limit(at_least=23),
    "strength_smallest_fall": Limit(at_least=1e-6),
    "empty_prompt_psnr": Limit(at_least=23),
    "nonsense_psnr": Limit(at_least=20),
    "sentence_score": Limit(at_least=0.9),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """scores: by name, those of `LIMITS`. styles: of each style. missed: sentences taken wrong."""

    model: str
    pictures: int
    backend: str
    precision: str
    scores: Mapping[str, float]
    strength_curve: Mapping[str, float]
    styles: Mapping[str, StyleScore]
    missed: list[str]

    @property
    def failed(self) -> list[str]:
        """Names of the scores that do not hold."""
        return [name for name, limit in LIMITS.items() if not limit.holds(self.scores[name])]

    def as_json(self) -> dict[str, object]:
        facts = asdict(self)
        return {**facts.pop("scores"), **facts, "failed": self.failed}


def evaluate(
    config: StreamConfig, folder: Path | None, *, tell: Callable[[str], None]
) -> Evaluation:
    """Score a model on photos; config's size is not used. tell: is given what comes next.

    Raises ConfigError for photos that cannot be read, ModelError for a model that cannot.
    """
    pictures = read_pictures(folder)
    tell(f"autoencoder at {LARGE_SIDE}")
    large = Painter(replace(config, width=LARGE_SIDE, height=LARGE_SIDE))
    vae_512 = _vae_scores(pictures, large, LARGE_SIDE)
    tell(f"autoencoder at {SIDE}")
    painter = Painter(replace(config, width=SIDE, height=SIDE))
    vae_256 = _vae_scores(pictures, painter, SIDE)
    squares = [square(picture, SIDE) for picture in pictures]
    references = References(squares)
    tell("styles")
    styles = score_styles(references, painter.draw)
    tell("strength")
    curve = strength_curve(references, painter.draw)
    tell("sentences")
    understood, missed = sentence_score(references, painter.draw)
    scores = {
        "vae_psnr_256": vae_256["psnr"],
        "vae_psnr_512": vae_512["psnr"],
        "vae_colour_shift": max(vae_256["shift"], vae_512["shift"]),
        "vae_blocks": max(vae_256["blocks"], vae_512["blocks"]),
        **_over_styles(styles),
        "strength_zero_psnr": curve[0],
        "strength_smallest_fall": float(-np.diff(curve).max()),
        "empty_prompt_psnr": plain_psnr(squares, painter.draw, ("",)),
        "nonsense_psnr": plain_psnr(squares, painter.draw, NONSENSE),
        "sentence_score": understood,
    }
    return Evaluation(
        model=config.model,
        pictures=len(pictures),
        backend=painter.engines.choice.backend.name,
        precision=painter.engines.described_precision,
        scores={name: round(value, 4) for name, value in scores.items()},
        strength_curve={f"{s:g}": round(db, 2) for s, db in zip(STRENGTHS, curve, strict=True)},
        styles=styles,
        missed=missed,
    )


def _over_styles(styles: Mapping[str, StyleScore]) -> dict[str, float]:
    rows = list(styles.values())
    return {
        "style_score": float(np.mean([row.hits for row in rows])),
        "style_worst": min(row.hits for row in rows),
        "edge_ratio": min(row.edge_ratio for row in rows),
        "sharpness_ratio": min(row.sharpness_ratio for row in rows),
        "steps_gain": float(np.mean([row.steps_gain for row in rows])),
    }


def _vae_scores(pictures: list[Picture], painter: Painter, side: int) -> dict[str, float]:
    pairs: list[tuple[Pixels, Pixels]] = []
    for picture in pictures:
        original = square(picture, side)
        pairs.append((painter.give_back(original), original))
    return {
        "psnr": float(np.mean([psnr(*pair) for pair in pairs])),
        "shift": max(colour_shift(*pair) for pair in pairs),
        "blocks": float(np.mean([blockiness(*pair) for pair in pairs])),
    }
