"""How old pictures are when they are first seen, as figures; knows no browser and no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_DIGITS = 3
#: Of a picture's way into the page's canvas and back to its eyes: number and time.
Mark = tuple[int, float]
Look = tuple[int | None, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one client saw in one go; all times in ms of the client's own clock.

    drawn: pictures that were sent. first: number, age and time of each when it was first seen.
    looks: pictures that came, repeated ones too. unread: of these, without a number.
    """

    drawn: int
    first: tuple[tuple[int, float, float], ...]
    looks: int
    unread: int
    seconds: float

    @property
    def ages(self) -> list[float]:
        """Of every picture when it was first seen, in ms."""
        return [age for _, age, _ in self.first]


def turn_of(
    drawn: Sequence[Mark], shown: Sequence[Look], *, begin_ms: float, end_ms: float
) -> Turn:
    """Return what became of the pictures that were drawn from begin to end.

    Those that were drawn shortly before the end may be seen after it.
    """
    sent = {number: at for number, at in drawn if begin_ms <= at < end_ms}
    first: dict[int, tuple[int, float, float]] = {}
    for number, at in shown:
        if number is not None and number in sent and number not in first:
            first[number] = (number, at - sent[number], at)
    looks = [number for number, at in shown if begin_ms <= at < end_ms]
    return Turn(
        drawn=len(sent),
        first=tuple(first.values()),
        looks=len(looks),
        unread=looks.count(None),
        seconds=(end_ms - begin_ms) / 1000,
    )


def figures(turns: Sequence[Turn]) -> dict[str, object]:
    """Return percentiles over all turns, and of each of them the median; needs one picture."""
    ages = np.array([age for turn in turns for age in turn.ages])
    drawn, presented = sum(turn.drawn for turn in turns), len(ages)
    p50, p95, p99 = (round(float(each), _DIGITS) for each in np.percentile(ages, (50, 95, 99)))
    return {
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "jitter_ms": round(float(np.mean([jitter_ms(turn) for turn in turns])), _DIGITS),
        "max_age_ms": round(float(ages.max()), _DIGITS),
        "trend_ms_per_s": round(_steepest(turns), _DIGITS),
        "fps": round(presented / sum(turn.seconds for turn in turns), _DIGITS),
        "drawn": drawn,
        "presented": presented,
        "drops": drawn - presented,
        "unread": sum(turn.unread for turn in turns),
        "turns": [round(float(np.median(turn.ages)), _DIGITS) for turn in turns if turn.ages],
    }


def _steepest(turns: Sequence[Turn]) -> float:
    trends = [trend(turn) for turn in turns]
    return max(trends, key=lambda each: abs(each))


def jitter_ms(turn: Turn) -> float:
    """Return by how much the age differs from one picture to the next, on the average."""
    steps = [abs(after - before) for before, after in pairwise(turn.ages)]
    return sum(steps) / len(steps) if steps else 0.0


def trend(turn: Turn) -> float:
    """Return by how many ms the age rises in a second: the slope of a line through all of them."""
    if len(turn.first) < 2:
        return 0.0
    times = np.array([at for _, _, at in turn.first]) / 1000
    offsets = times - times.mean()
    spread = float(offsets @ offsets)
    return float(offsets @ np.array(turn.ages)) / spread if spread > 0 else 0.0
