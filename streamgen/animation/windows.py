"""A long clip as windows that overlap, and how much each counts where they do; numbers only.

A motion module sees a window at once. At every step each window is answered, and the answers are
mixed (as MultiDiffusion does over a wide picture, Bar-Tal et al. 2023, arXiv 2302.08113): where two
overlap, one fades in as the other fades out, so there is no frame at which one ends. The windows
stay where they are from step to step: what is distilled makes too few steps for shifts to even
anything out, and a frame is drawn in the same company from noise to picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from streamgen.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Some frames in a row, and how much each of its answers counts.

    Over all windows that a frame is in, the weights add up to 1.
    """

    start: int
    weights: tuple[float, ...]

    @property
    def frames(self) -> slice:
        """Which frames of the clip."""
        return slice(self.start, self.start + len(self.weights))


def windows_of(frames: int, *, length: int, overlap: int) -> tuple[Window, ...]:
    """Return windows of equal length over all frames, each sharing `overlap` or more with the next.

    A clip that is no longer than a window is one. Raises ConfigError for numbers that don't fit.
    """
    if not 0 <= overlap < length:
        raise ConfigError(
            f"overlap {overlap}: with windows of {length} frames give 0 to {length - 1}"
        )
    starts = _starts(frames, length=length, overlap=overlap)
    length = min(length, frames)
    shared = [before + length - after for before, after in pairwise(starts)]
    ramps = [
        [_ramp(place, length, before=before, after=after) for place in range(length)]
        for before, after in zip([0, *shared], [*shared, 0], strict=True)
    ]
    total = [0.0] * frames
    for start, ramp in zip(starts, ramps, strict=True):
        for place, weight in enumerate(ramp, start):
            total[place] += weight
    return tuple(
        Window(start=start, weights=tuple(w / total[k] for k, w in enumerate(ramp, start)))
        for start, ramp in zip(starts, ramps, strict=True)
    )


def _starts(frames: int, *, length: int, overlap: int) -> list[int]:
    """Spread as few windows as will do evenly, the first at the start, the last at the end."""
    if frames <= length:
        return [0]
    steps = -(-(frames - length) // (length - overlap))
    return [(frames - length) * number // steps for number in range(steps + 1)]


def _ramp(place: int, length: int, *, before: int, after: int) -> float:
    """Return the weight of a frame of a window that shares some with the ones before and after."""
    return min(1.0, (place + 1) / (before + 1), (length - place) / (after + 1))
