"""Frames of a clip drawn with some controls, as they would be live; and how long each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from streamgen.controls import Controls
from streamgen.drawing import Drawing
from streamgen.frame import Frame, Pixels, Stamp
from streamgen.models.engines import Engines
from streamgen.pipeline import Pipeline

_RATE = Fraction(1, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrawn:
    """frames: one for each that was given. frame_ms: the median, without the first."""

    frames: list[Pixels]
    frame_ms: float


def redraw_clip(
    engines: Engines,
    frames: Sequence[Pixels],
    controls: Controls,
    *,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Redrawn:
    """Draw a clip in a stream of its own; frames are of the engines' size."""
    pipeline = Pipeline(engines)
    drawing = Drawing(pipeline, pipeline.open_stream("evaluation", controls))
    drawn: list[Pixels] = []
    laps: list[int] = []
    for index, pixels in enumerate(frames):
        stamp = Stamp(index=index, pts=index, time_base=_RATE, ingest_ns=index)
        began = clock()
        pairs = drawing.draw(Frame(pixels=pixels, stamp=stamp))
        laps.append(clock() - began)
        drawn += [pair.drawn.pixels.copy() for pair in pairs]
    drawn += [pair.drawn.pixels.copy() for pair in drawing.finish()]
    return Redrawn(frames=drawn, frame_ms=float(np.median(laps[1:] or laps)) / 1e6)
