"""Other programs that redraw the same frames, in turns with ours; knows none of them by name."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeAlias

from PIL import Image

from benchmarks.clip import Clip
from benchmarks.frame_path import Plan
from benchmarks.machine import others_words
from streamgen.sources import Size
from streamgen.sources.convert import Converter

logger = logging.getLogger(__name__)

#: Redraws a picture of the size that the networks draw.
Draw: TypeAlias = Callable[[Image.Image], Image.Image]
#: A rival may be many times slower, and a rate needs no more frames than these.
TURN_FRAMES = 30
WARM_UP_FRAMES = 3
_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A program in its plain form, and in its best one where it has another.

    facts: what it was made of, as plain data.
    """

    name: str
    plain: Draw
    best: Draw | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


class Match:
    """A rival at work on the frames of a clip: from the decoded picture to its own, as ours."""

    def __init__(
        self,
        rival: Rival,
        *,
        clip: Clip,
        size: Size,
        plan: Plan,
        now_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.rival = rival
        self.clip = clip
        self.converter = Converter(size, fit="crop")
        self.frames = min(plan.frames, TURN_FRAMES)
        self.warmup = min(plan.warmup, WARM_UP_FRAMES)
        self.now_ns = now_ns
        self.plain_fps: list[float] = []
        self.best_fps: list[float] = []

    def warm_up(self) -> None:
        """Draw what does not count."""
        for draw in filter(None, (self.rival.plain, self.rival.best)):
            self._draw(draw, self.warmup)

    def take_turn(self) -> None:
        """Measure each form once."""
        self.plain_fps.append(self._fps(self.rival.plain))
        if self.rival.best is not None:
            self.best_fps.append(self._fps(self.rival.best))
        logger.info("%s: %.2f fps", self.rival.name, self.plain_fps[-1])

    def facts(self, ours_fps: float, reason: str | None) -> dict[str, object]:
        """Return the medians and ours over theirs. reason: why no ratio may be told, if so."""
        ours = None if reason else ours_fps
        return {
            **_figures("", self.plain_fps, ours_fps=ours),
            **_figures("best_", self.best_fps, ours_fps=ours),
            "reason": reason,
            "frames_per_turn": self.frames,
            "turns": len(self.plain_fps),
            "warmup": self.warmup,
            **self.rival.facts,
        }

    def _fps(self, draw: Draw) -> float:
        began = self.now_ns()
        self._draw(draw, self.frames)
        return self.frames / ((self.now_ns() - began) / 1e9)

    def _draw(self, draw: Draw, frames: int) -> None:
        for number in range(frames):
            pixels = self.converter.convert(self.clip.picture(number), self.clip.stance)
            draw(Image.fromarray(pixels))


def why_no_ratio(machine: Mapping[str, Any]) -> str | None:
    """Return why two speeds may not be compared: the machine was busy. None if they may."""
    return f"the machine was busy: {others_words(machine)}" if machine["busy"] else None


def _figures(prefix: str, rates: Sequence[float], *, ours_fps: float | None) -> dict[str, object]:
    if not rates:
        return {}
    fps = median(rates)
    return {
        f"{prefix}fps": round(fps, _DIGITS),
        f"{prefix}ratio": None if ours_fps is None else round(ours_fps / fps, _DIGITS),
        f"{prefix}runs": [round(rate, _DIGITS) for rate in rates],
    }
