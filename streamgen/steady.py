"""Finds the ticks that are steady, and has each drawn as one whole step; the others are not its.

Steady: every stream brings a picture, asks for no guidance and nothing of the pictures before, and
has as many rows under way as it always has, one at each level but the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from engines.graphs import Capturable, Recorder, recorder_for
from streamgen.frame import Blank, Frame, Pixels, Stamp
from streamgen.models.engines import Engines
from streamgen.rows import Revision, Row, Stream
from streamgen.whole_step import Drawn, WholeStep

# Graphs of one recorder share their memory: what is kept is small.
_MOST_STEPS = 16

Moving = Sequence[tuple[Stream, Frame | Blank]]


class Finished(NamedTuple):
    """A row that came to its end in a tick, whose it is, and its picture."""

    stream: Stream
    row: Row
    pixels: Pixels


class SteadyTicks:
    """Keeps a whole step for each number of streams and levels that comes up."""

    def __init__(self, engines: Engines, recorder: Recorder | None) -> None:
        self._engines = engines
        self._recorder = recorder
        self._steps: dict[object, WholeStep] = {}
        # What the networks of each step were when its graph was captured.
        self._captured: dict[object, object] = {}
        self._known: set[tuple[int, ...]] = set()

    @property
    def steps(self) -> tuple[WholeStep, ...]:
        """The steps that have been drawn with so far, and are kept."""
        return tuple(self._steps.values())

    def admit(self, streams: Sequence[Stream], moving: Moving) -> bool:
        """Tell whether a tick is steady: all streams draw, each once, alike in levels and weights.

        The first of its kind is left to the rows: they have the networks compiled that it needs.
        """
        size = (self._engines.config.height, self._engines.config.width)
        counts = {len(stream.revision.levels) for stream, _ in moving}
        revisions = (_revisions(stream) for stream, _ in moving)
        weights = {id(each.weights) for several in revisions for each in several}
        is_steady = (
            len(set(streams)) == len(streams) == len(moving) > 0
            and len(counts) == 1
            and counts != {0}
            and len(weights) == 1
            and all(_is_steady(stream) for stream in streams)
            and all(isinstance(f, Frame) and f.pixels.shape[:2] == size for _, f in moving)
        )
        if not is_steady:
            return False
        kind = (len(streams), *counts)
        is_known = kind in self._known
        self._known.add(kind)
        return is_known

    def put(self, moving: Moving, now: int) -> WholeStep:
        """Give every stream the row of its frame, and all of them to the step that is for them."""
        for stream, frame in moving:
            stream.rows.append(self._new_row(stream, replace(frame.stamp, tick_ns=now)))
        rows = [row for stream, _ in moving for row in stream.rows]
        frames = [frame for _, frame in moving if isinstance(frame, Frame)]
        step = self._step_for(rows, frames)
        step.put(rows, frames)
        return step

    def take(self, streams: Sequence[Stream], step: WholeStep) -> list[Finished]:
        """Write what was made into the rows; return those that are at their end."""
        drawn = step.take()
        finished = []
        for k, stream in enumerate(streams):
            _advance(stream, drawn, k)
            (row,) = stream.take_finished()
            finished.append(Finished(stream, row, drawn.pixels[k]))
        if not drawn.is_finite:
            self._engines.decode(drawn.latents)  # it says what is wrong with them
        return finished

    def _new_row(self, stream: Stream, stamp: Stamp) -> Row:
        revision = stream.revision
        noises = stream.noise.take(revision.controls, len(revision.levels))
        return Row(
            x=noises[0],
            noises=noises,
            cond=revision.cond,
            origin=noises[0],
            revision=revision,
            stamp=stamp,
        )

    def _step_for(self, rows: Sequence[Row], frames: Sequence[Frame]) -> WholeStep:
        weights, ports = rows[0].revision.weights, self._engines.ports
        unets = None if weights is None else self._engines.holding(weights)
        number, version = (unets.number, unets.version) if unets else (0, 0)
        key = (len(frames), len(rows), rows[0].revision.text.shape, number)
        if key not in self._steps:
            while len(self._steps) >= _MOST_STEPS:
                oldest = next(iter(self._steps))
                del self._steps[oldest], self._captured[oldest]
            denoisers = unets.ports if unets else ports
            self._steps[key] = WholeStep(
                self._engines, rows, frames, recorder=self._recorder, denoisers=denoisers
            )
        # Other batch sizes draw it faster now, or other weights are there.
        networks = (ports.ready, unets.ports.ready if unets else None, version)
        if self._captured.setdefault(key, networks) != networks:
            self._captured[key] = networks
            self._steps[key].graph.invalidate()
        return self._steps[key]


def steady_ticks(engines: object) -> SteadyTicks | None:
    """Return what draws steady ticks as graphs; None where a graph cannot be had."""
    if not isinstance(engines, Engines):
        return None
    backend, device = engines.choice.backend, engines.device
    if not isinstance(backend, Capturable) or not backend.captures_on(str(device)):
        return None
    return SteadyTicks(engines, recorder_for(device))


def _is_steady(stream: Stream) -> bool:
    """Tell whether a stream has a row at each level but the first, and none is guided."""
    count = len(stream.revision.levels)
    under_way = [(row.position, len(row.revision.levels)) for row in stream.rows]
    return (
        under_way == [(position, count) for position in range(count - 1, 0, -1)]
        and (count == 1 or not stream.is_sequential)
        and all(_is_plain(revision) for revision in _revisions(stream))
    )


def _revisions(stream: Stream) -> list[Revision]:
    """Return those that a stream's rows are drawn with, and the next one."""
    return [stream.revision, *(row.revision for row in stream.rows)]


def _is_plain(revision: Revision) -> bool:
    controls = revision.controls
    is_blind = controls.guides_by_image
    if controls.uses_motion:
        return False
    return not (controls.is_guided or is_blind or revision.negative_text is not None)


def _advance(stream: Stream, drawn: Drawn, k: int) -> None:
    """Move the rows of the k-th stream on, the oldest of them to its end."""
    oldest, *others = stream.rows
    new = stream.rows[-1]
    new.cond = {**new.cond, **{name: each[k] for name, each in drawn.cond.items()}}
    new.origin = drawn.clean[k]
    oldest.x = drawn.latents[k].clone()
    for place, row in enumerate(others):
        row.x = drawn.under_way[k, place]
    for row in stream.rows:
        row.position += 1
