"""Any source at its own pace, once or over and over; knows no kind of source and no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from threading import Event

from streamgen.frame import Frame
from streamgen.sources.protocol import Source

_FALLBACK_RATE = Fraction(25)


class PacedSource(Source):
    """Hands over each frame of a source when its time has come.

    Who takes frames too slowly misses some (`skipped`), the newest that is due comes next. A source
    that is read too slowly plays slower instead: skipping would not make it any faster.
    """

    def __init__(
        self,
        source: Source,
        *,
        clock: Callable[[], int],
        wait: Callable[[float], bool] | None = None,
        again: Callable[[], Source] | None = None,
    ) -> None:
        """Take over `source` and close it.

        clock: monotonic ns. wait: waits for seconds, and returns True if it is to end here; None
        waits until `interrupt`. again: opens the source once more, at its beginning, for a loop.
        """
        self.info = replace(source.info, frame_count=None) if again else source.info
        self.content = source.content
        self.audio = source.audio
        self.has_picture = source.has_picture
        self.skipped = 0
        self._source = source
        self._clock = clock
        self._is_interrupted = Event()
        self._wait = wait or self._is_interrupted.wait
        self._again = again

    def frames(self) -> Iterator[Frame]:
        """Yield what is due, each stamped with the moment it is handed over."""
        frames = self._one_after_the_other()
        frame = next(frames, None)
        if frame is None:
            return
        start_ns, first = self._clock(), frame

        def due_ns(frame: Frame) -> int:
            return start_ns + _nanoseconds(frame.stamp.pts - first.stamp.pts, self.info.time_base)

        while frame is not None:
            asked_ns = self._clock()
            following = next(frames, None)
            while following is not None and due_ns(following) <= asked_ns:
                self.skipped += 1
                frame, following = following, next(frames, None)
            left_ns = due_ns(frame) - self._clock()
            if left_ns > 0 and self._wait(left_ns / 1e9):
                return
            now = self._clock()
            if following is not None and due_ns(following) <= now:  # reading took too long
                start_ns += now - due_ns(frame)
            yield Frame(pixels=frame.pixels, stamp=replace(frame.stamp, ingest_ns=now))
            frame = following

    def interrupt(self) -> None:
        """End the waiting."""
        self._is_interrupted.set()
        self._source.interrupt()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _one_after_the_other(self) -> Iterator[Frame]:
        """Yield the frames of every round; index and time stamp keep rising from round to round."""
        step = max(1, round(1 / ((self.info.rate or _FALLBACK_RATE) * self.info.time_base)))
        index, offset = 0, 0
        while True:
            last: int | None = None
            for frame in self._source.frames():
                if last is None and index > 0:
                    offset -= frame.stamp.pts
                last = frame.stamp.pts + offset
                yield Frame(pixels=frame.pixels, stamp=replace(frame.stamp, index=index, pts=last))
                index += 1
            if self._again is None or last is None:
                return
            offset = last + step
            self._source.close()
            self._source = self._again()


def _nanoseconds(ticks: int, time_base: Fraction) -> int:
    return int(ticks * time_base * 1_000_000_000)
