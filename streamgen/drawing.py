"""One stream's frames in, an answer to each in their order out; knows no sources and no sinks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from streamgen.frame import Blank, Frame, Pixels
from streamgen.pipeline import Answer, Pipeline
from streamgen.rows import Stream


class Pair(NamedTuple):
    """A frame and its answer; a frame that the gate skipped is answered by the picture before."""

    given: Frame | Blank
    drawn: Frame


class Drawing:
    """Draws a stream so that every frame is answered once and in order, late by some."""

    def __init__(
        self,
        pipeline: Pipeline,
        stream: Stream,
        *,
        frame_buffer: int = 1,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """frame_buffer: frames that enter together, for more throughput; as many come later."""
        self.pipeline = pipeline
        self.stream = stream
        self.frame_buffer = frame_buffer
        self.clock = clock
        self.waiting: list[Frame | Blank] = []
        self.unanswered: deque[Frame | Blank] = deque()
        self.shown: Pixels | None = None

    def draw(self, frame: Frame | Blank) -> list[Pair]:
        """Take a frame; return the pairs that are complete."""
        if not self.stream.has_picture:
            frame = Blank(stamp=frame.stamp)
        self.waiting.append(frame)
        return self._tick() if len(self.waiting) == self.frame_buffer else []

    def finish(self) -> list[Pair]:
        """Return what is still to come."""
        pairs = self._tick() if self.waiting else []
        return pairs + self._paired(self.pipeline.flush([self.stream]))

    def _tick(self) -> list[Pair]:
        frames, self.waiting = self.waiting, []
        self.unanswered += frames
        streams = [self.stream] * len(frames)
        return self._paired(self.pipeline.tick(streams, frames, self.clock()))

    def _paired(self, answers: list[Answer]) -> list[Pair]:
        pairs: list[Pair] = []
        for answer in answers:
            while (given := self.unanswered.popleft()).stamp.index != answer.frame.stamp.index:
                pairs.append(self._repeated(given))
            self.shown = answer.frame.pixels
            pairs.append(Pair(given, answer.frame))
        if not self.stream.rows:  # nothing is under way: what is left was skipped
            pairs += [self._repeated(given) for given in self.unanswered]
            self.unanswered.clear()
        return pairs

    def _repeated(self, given: Frame | Blank) -> Pair:
        assert self.shown is not None, "the gate admits the first frame"
        stamp = replace(given.stamp, revision=self.stream.revision.number)
        return Pair(given, Frame(pixels=self.shown, stamp=stamp))
