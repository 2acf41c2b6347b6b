"""Every frame of a source, in order, through the model into a sink; knows no command line.

    source ──▶ [ 3 ] ──▶ draw ──▶ [ 3 ] ──▶ sink
    thread              caller             thread

Nothing is dropped: whoever is faster waits for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from threading import Semaphore, Thread
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from streamgen.drawing import Pair
from streamgen.errors import SourceError
from streamgen.frame import Frame
from streamgen.sinks import Sink, beside
from streamgen.sources import Rect, Source

#: What is written of a frame and its answer.
Finish = Callable[[Pair], Frame]
_AHEAD = 3


class Artist(Protocol):
    """What answers every frame once, in order; `Drawing` is the one there is."""

    def draw(self, frame: Frame) -> Sequence[Pair]: ...

    def finish(self) -> Sequence[Pair]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrawn:
    """How many frames the sink took, and whether the source was at its end."""

    frames: int
    is_whole: bool


class SourceBroke(SourceError):
    """The source went wrong after `frames` frames."""

    def __init__(self, message: str, *, frames: int) -> None:
        super().__init__(message)
        self.frames = frames


def redraw(
    source: Source,
    sink: Sink,
    *,
    artist: Artist,
    limit: int | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    on_frame: Callable[[int], None] = lambda count: None,
) -> Redrawn:
    """Draw every frame of a source, `limit` at most, and write it; the sink is left open.

    is_stopped: asked after each frame; a true answer ends the work there. on_frame: told how many
    frames are drawn. What source, artist or sink raise comes out here, a source's as SourceBroke.
    """
    taken, count, is_whole = 0, 0, True

    def write(pairs: Sequence[Pair]) -> None:
        nonlocal count
        for pair in pairs:
            writer.put(pair.drawn)
            count += 1
            on_frame(count)

    with _Reader(islice(source.frames(), limit)) as frames, _Writer(sink) as writer:
        try:
            for frame in frames:
                write(artist.draw(frame))
                taken += 1
                if is_stopped():
                    is_whole = False
                    break
        except SourceError as error:
            raise SourceBroke(str(error), frames=taken) from error
        write(artist.finish())
    return Redrawn(frames=count, is_whole=is_whole)


class Finished:
    """An artist whose answers get a last touch."""

    def __init__(self, artist: Artist, finish: Finish) -> None:
        self.artist = artist
        self.finish_one = finish

    def draw(self, frame: Frame) -> list[Pair]:
        return self._touched(self.artist.draw(frame))

    def finish(self) -> list[Pair]:
        return self._touched(self.artist.finish())

    def _touched(self, pairs: Sequence[Pair]) -> list[Pair]:
        return [Pair(pair.given, self.finish_one(pair)) for pair in pairs]


def only_within(content: Rect) -> Finish:
    """Return what puts black around the content, where a letterboxed frame has nothing."""

    def masked(pair: Pair) -> Frame:
        drawn = pair.drawn
        pixels = np.zeros_like(drawn.pixels)
        rows = slice(content.y, content.y + content.height)
        columns = slice(content.x, content.x + content.width)
        pixels[rows, columns] = drawn.pixels[rows, columns]
        return drawn.redrawn(pixels, revision=drawn.stamp.revision)

    return masked


def with_input(pair: Pair) -> Frame:
    """Return the answer with the input on its left."""
    assert isinstance(pair.given, Frame), "only what has a picture is compared"
    pixels = beside(pair.given.pixels, pair.drawn.pixels)
    return pair.drawn.redrawn(pixels, revision=pair.drawn.stamp.revision)


@dataclass(frozen=True, slots=True)
class _End:
    """What comes after the last frame."""

    error: BaseException | None = None


class _Reader:
    """Frames of a source, read a few ahead by a thread."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._free = Semaphore(_AHEAD)
        self._read: SimpleQueue[Frame | _End] = SimpleQueue()
        self._is_wanted = True
        self._thread = Thread(target=self._run, name="source", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __iter__(self) -> Iterator[Frame]:
        while not isinstance(item := self._read.get(), _End):
            self._free.release()
            yield item
        if item.error is not None:
            raise item.error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_wanted = False
        self._free.release()
        _join(self._thread)

    def _run(self) -> None:
        end = _End()
        try:
            while self._free.acquire() and self._is_wanted:
                frame = next(self._frames, None)
                if frame is None:
                    break
                self._read.put(frame)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
            end = _End(error)
        self._read.put(end)


class _Writer:
    """Writes frames to a sink by a thread; leaving the context waits for the last one."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._free = Semaphore(_AHEAD)
        self._given: SimpleQueue[Frame | _End] = SimpleQueue()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="sink", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def put(self, frame: Frame) -> None:
        """Hand over a frame; raise what went wrong with one before it."""
        self._free.acquire()
        if self._error is not None:
            raise self._error
        self._given.put(frame)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._given.put(_End())
        _join(self._thread)
        if error is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        while not isinstance(item := self._given.get(), _End):
            try:
                if self._error is None:
                    self._sink.write(item)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
                self._error = error
            self._free.release()


def _join(thread: Thread) -> None:
    """Wait for a thread, even through an interruption: what it works with is closed next."""
    try:
        thread.join()
    except BaseException:
        thread.join()
        raise
