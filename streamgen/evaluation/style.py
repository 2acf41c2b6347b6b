"""Whether a drawn video still looks like the style that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamgen.controls import Controls
from streamgen.frame import Pixels
from streamgen.models.evaluation.scores import References
from streamgen.models.registry import ModelRow
from streamgen.training.styles import STYLES

#: Frames of a clip that are looked at.
LOOKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleLook:
    """score: share of frames taken for the style that was asked for. distance: mean distance to
    its reference, about 1 for another style."""

    score: float
    distance: float


class StyleJudge:
    """Compares a few frames of a drawn clip with the filters that the model learned from."""

    def __init__(self, given: Sequence[Pixels], looks: int = LOOKS) -> None:
        """Draw every style of `looks` frames, spread over the clip, the last one among them."""
        count = min(looks, len(given))
        self.chosen = [(k + 1) * len(given) // count - 1 for k in range(count)]
        self.references = References([given[index] for index in self.chosen])

    def judge(self, drawn: Sequence[Pixels], style: str) -> StyleLook:
        """Judge the drawing of the same clip."""
        frames = [drawn[index] for index in self.chosen]
        names = [self.references.nearest(k, frame) for k, frame in enumerate(frames)]
        away = [self.references.distance(k, style, frame) for k, frame in enumerate(frames)]
        return StyleLook(
            score=float(np.mean([name == style for name in names])),
            distance=float(np.mean(away)),
        )


def style_of(controls: Controls, row: ModelRow) -> str | None:
    """Return the style that the controls name and nothing else.

    None where it is another wish, and for models that did not learn from the filters.
    """
    if row.is_on_hub:
        return None
    texts = {prompt.text.strip().lower() for prompt in controls.prompts if prompt.weight > 0}
    if len(texts) != 1:
        return None
    [text] = texts
    return next((style.name for style in STYLES if text in style.words), None)
