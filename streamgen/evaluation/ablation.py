"""The same clips drawn with several settings, and the figures of each beside the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streamgen.controls import Controls
from streamgen.evaluation.clips import Clip
from streamgen.evaluation.measure import Figures, measure
from streamgen.evaluation.redraw import Redrawn, redraw_in_turns
from streamgen.evaluation.style import StyleJudge, StyleLook, style_of
from streamgen.frame import Pixels
from streamgen.models.engines import Engines

#: Where nobody asks for a prompt the clips take these in turn.
PROMPTS = ("watercolor", "pencil sketch", "comic", "cyberpunk")
#: Figures of one clip; those of a setting are their means.
NAMES = (
    *("warp_error", "flicker", "sharpness", "edge_ssim", "lag", "colour_drift", "frame_ms"),
    *("style_score", "style_distance", "cost"),
)

#: What the others are compared with, and the figures that are.
BASES = ("fresh", "fixed")
COMPARED = ("warp_error", "sharpness")

Numbers = dict[str, float | None]
#: Makes the controls of a setting from its name and a prompt.
Ask = Callable[[str, str], Controls]
Show = Callable[[Clip, str, Mapping[str, Sequence[Pixels]]], None]


@dataclass(slots=True)
class Ablation:
    """clips: by name, then by setting. inputs: the warp error of the clips themselves."""

    settings: Sequence[str]
    clips: dict[str, dict[str, Numbers]] = field(default_factory=dict)
    inputs: dict[str, float] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)

    def means(self, setting: str) -> Numbers:
        """Return the means over the clips; None for what no clip tells."""
        return {name: _mean(row[setting][name] for row in self.clips.values()) for name in NAMES}

    @property
    def input_error(self) -> float | None:
        """Mean warp error of the clips themselves: what no drawing is asked to be below."""
        return _mean(self.inputs.values())

    def comparison(self) -> dict[str, Numbers]:
        """Return the means of every setting, and some figures over those of fresh and fixed.

        `…_to_fixed` is the mean over fixed's mean: clips with much of it count most;
        `…_to_fixed_each` is the mean of what each clip's figure is over fixed's.
        """
        rows = {name: self.means(name) for name in self.settings}
        for base in (name for name in BASES if name in self.settings):
            for name, row in rows.items():
                for figure in COMPARED:
                    key = f"{figure}_to_{base}"
                    row[key] = _ratio(row[figure], rows[base][figure])
                    row[f"{key}_each"] = _mean(
                        _ratio(clip[name][figure], clip[base][figure])
                        for clip in self.clips.values()
                    )
        return rows

    def as_json(self) -> dict[str, object]:
        """Return plain data: `settings`, `input`, and both again for every clip."""
        return {
            "settings": {name: _rounded(row) for name, row in self.comparison().items()},
            "input": _rounded({"warp_error": self.input_error}),
            "clips": {
                clip: {
                    "prompt": self.prompts[clip],
                    "input": _rounded({"warp_error": self.inputs[clip]}),
                    "settings": {name: _rounded(row) for name, row in rows.items()},
                }
                for clip, rows in self.clips.items()
            },
        }


def ablate(
    engines: Engines,
    clips: Iterable[Clip],
    *,
    settings: Sequence[str],
    ask: Ask,
    prompts: Sequence[str],
    show: Show,
) -> Ablation:
    """Draw every clip with every setting and measure it.

    prompts: the clips take them in turn. show: is given each clip, its prompt and the drawings
    by setting, to keep what it wants of them.
    """
    result = Ablation(settings=settings)
    for number, clip in enumerate(clips):
        prompt = prompts[number % len(prompts)]
        style = style_of(ask(settings[0], prompt), engines.model.row)
        judge = None if style is None else StyleJudge(clip.frames)
        result.prompts[clip.name], rows = prompt, {}
        drawn = redraw_in_turns(
            engines, clip.frames, {name: ask(name, prompt) for name in settings}
        )
        for name in settings:
            figures = measure(clip.frames, drawn[name].frames, known=clip.known)
            look = judge.judge(drawn[name].frames, style) if judge and style else None
            rows[name] = numbers(figures, drawn[name], look)
            rows[name]["cost"] = drawn[name].cost(drawn["fixed"]) if "fixed" in drawn else None
            result.inputs[clip.name] = figures.input_warp_error
        result.clips[clip.name] = rows
        show(clip, prompt, {name: drawn[name].frames for name in settings})
    return result


def numbers(figures: Figures, drawn: Redrawn | None, look: StyleLook | None) -> Numbers:
    """Return what one drawing of one clip tells, by the names of `NAMES` but the cost."""
    plain = {name: getattr(figures, name, None) for name in NAMES}
    return {
        **plain,
        "frame_ms": None if drawn is None else drawn.frame_ms,
        "style_score": None if look is None else look.score,
        "style_distance": None if look is None else look.distance,
    }


def _mean(values: Iterable[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return float(np.mean(told)) if told else None


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _rounded(row: Mapping[str, float | None]) -> Numbers:
    return {name: None if value is None else round(value, 6) for name, value in row.items()}
