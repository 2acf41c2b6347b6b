"""Frames of a clip drawn with some controls, as they would be live; and how long each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from streamgen.controls import Controls
from streamgen.drawing import Drawing
from streamgen.frame import Frame, Pixels, Stamp
from streamgen.models.engines import Engines
from streamgen.pipeline import Pipeline

_RATE = Fraction(1, 30)
Clock = Callable[[], int]


@dataclass(slots=True, kw_only=True)
class Redrawn:
    """frames: one for each that was given. laps_ms: of each, the first among them."""

    frames: list[Pixels] = field(default_factory=list)
    laps_ms: list[float] = field(default_factory=list)

    @property
    def frame_ms(self) -> float:
        """The median, without the first."""
        return float(np.median(self.laps_ms[1:] or self.laps_ms))

    def cost(self, base: Redrawn) -> float:
        """Return how long a frame takes as a part of what it takes another, drawn in turns."""
        pairs = list(zip(self.laps_ms, base.laps_ms, strict=True))
        return float(np.median([ours / theirs for ours, theirs in pairs[1:] or pairs]))


def redraw_clip(
    engines: Engines,
    frames: Sequence[Pixels],
    controls: Controls,
    *,
    clock: Clock = time.perf_counter_ns,
) -> Redrawn:
    """Draw a clip in a stream of its own; frames are of the engines' size."""
    return redraw_in_turns(engines, frames, {"": controls}, clock=clock)[""]


def redraw_in_turns(
    engines: Engines,
    frames: Sequence[Pixels],
    asked: Mapping[str, Controls],
    *,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Redrawn]:
    """Draw each frame with all controls before the next, each in a stream of its own.

    Which comes first changes with every frame: what slows the machine down slows all alike.
    """
    drawings, made = {}, {name: Redrawn() for name in asked}
    for name, controls in asked.items():
        pipeline = Pipeline(engines)
        drawings[name] = Drawing(pipeline, pipeline.open_stream("evaluation", controls))
    names = list(asked)
    for index, pixels in enumerate(frames):
        stamp = Stamp(index=index, pts=index, time_base=_RATE, ingest_ns=index)
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            began = clock()
            pairs = drawings[name].draw(Frame(pixels=pixels, stamp=stamp))
            made[name].laps_ms.append((clock() - began) / 1e6)
            made[name].frames += [pair.drawn.pixels.copy() for pair in pairs]
    for name, drawing in drawings.items():
        made[name].frames += [pair.drawn.pixels.copy() for pair in drawing.finish()]
    return made
