from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamgen.drawing import Pair
from streamgen.errors import SinkError, SourceError
from streamgen.frame import Colour, Frame, Stamp, VideoInfo
from streamgen.offline import Finished, SourceBroke, only_within, redraw, with_input
from streamgen.sinks import Sink
from streamgen.sources import Rect, Source

BASE = Fraction(1, 25)
PATIENCE_S = 30


def frame(index: int, size: tuple[int, int] = (8, 4)) -> Frame:
    pixels = np.full((size[1], size[0], 3), index, np.uint8)
    return Frame(pixels=pixels, stamp=Stamp(index=index, pts=index, time_base=BASE, ingest_ns=0))


class Numbers(Source):
    """Frames whose pixels are their number; `broken_at` raises there."""

    def __init__(self, count: int, *, broken_at: int | None = None) -> None:
        self.info = VideoInfo(
            width=8,
            height=4,
            rate=Fraction(25),
            time_base=BASE,
            frame_count=count,
            colour=Colour(matrix="bt601"),
        )
        self.content = Rect(0, 0, 8, 4)
        self.audio: Path | None = None
        self.broken_at = broken_at
        self.given = 0
        self.on_read: Callable[[int], None] = lambda index: None

    def frames(self) -> Iterator[Frame]:
        for index in range(self.info.frame_count or 0):
            if index == self.broken_at:
                raise SourceError(f"'clip' breaks off after {index} frames")
            self.given += 1
            self.on_read(index)
            yield frame(index)

    def close(self) -> None:
        pass


class Album(Sink):
    """Keeps what is written; `full_at` raises there."""

    def __init__(self, *, full_at: int | None = None) -> None:
        self.notes: list[str] = []
        self.full_at = full_at
        self.written: list[Frame] = []
        self.on_write: Callable[[int], None] = lambda index: None

    def write(self, frame: Frame) -> None:
        if len(self.written) == self.full_at:
            raise SinkError("output 'album' cannot be written: the disk is full")
        self.on_write(frame.stamp.index)
        self.written.append(frame)

    def finish(self) -> None:
        pass

    def abandon(self) -> None:
        self.written.clear()

    @property
    def numbers(self) -> list[int]:
        return [frame.stamp.index for frame in self.written]


def brighter(frame: Frame) -> Frame:
    return frame.redrawn(frame.pixels + 100, revision=3)


class Each:
    """Answers every frame at once by a function."""

    def __init__(self, draw: Callable[[Frame], Frame]) -> None:
        self.answer = draw

    def draw(self, frame: Frame) -> list[Pair]:
        return [Pair(frame, self.answer(frame))]

    def finish(self) -> list[Pair]:
        return []


def working_threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name in ("source", "sink")]


def test_every_frame_arrives_in_order_with_its_own_stamp() -> None:
    source, sink = Numbers(40), Album()

    done = redraw(source, sink, artist=Each(brighter))

    assert (done.frames, done.is_whole) == (40, True)
    assert sink.numbers == list(range(40))
    assert [int(each.pixels[0, 0, 0]) for each in sink.written] == list(range(100, 140))
    assert {each.stamp.revision for each in sink.written} == {3}


def test_the_count_is_told_after_every_frame() -> None:
    told: list[int] = []

    redraw(Numbers(5), Album(), artist=Each(brighter), on_frame=told.append)

    assert told == [1, 2, 3, 4, 5]


def test_a_limit_is_the_last_frame_that_is_read() -> None:
    source, sink = Numbers(9, broken_at=4), Album()

    done = redraw(source, sink, artist=Each(brighter), limit=4)

    assert (done.frames, done.is_whole, source.given) == (4, True, 4)
    assert sink.numbers == [0, 1, 2, 3]


def test_reading_goes_on_while_a_frame_is_drawn() -> None:
    source, sink = Numbers(4), Album()
    second_was_read = threading.Event()
    source.on_read = lambda index: second_was_read.set() if index == 1 else None

    def draw(frame: Frame) -> Frame:
        assert second_was_read.wait(PATIENCE_S)
        return frame

    assert redraw(source, sink, artist=Each(draw)).frames == 4


def test_drawing_goes_on_while_a_frame_is_written() -> None:
    sink = Album()
    second_is_drawn = threading.Event()
    waited: list[bool] = []
    sink.on_write = lambda index: waited.append(second_is_drawn.wait(PATIENCE_S))

    def draw(frame: Frame) -> Frame:
        if frame.stamp.index == 1:
            second_is_drawn.set()
        return frame

    redraw(Numbers(4), sink, artist=Each(draw))

    assert waited == [True] * 4


def test_no_side_runs_more_than_a_few_frames_ahead() -> None:
    source, sink = Numbers(60), Album()
    leads: list[int] = []

    def draw(frame: Frame) -> Frame:
        leads.append(source.given - frame.stamp.index)
        leads.append(frame.stamp.index - len(sink.written))
        return frame

    redraw(source, sink, artist=Each(draw))

    assert max(leads) <= 5


def test_a_source_that_breaks_says_after_how_many_frames() -> None:
    sink = Album()

    with pytest.raises(SourceBroke, match="breaks off after 7 frames") as caught:
        redraw(Numbers(20, broken_at=7), sink, artist=Each(brighter))

    assert caught.value.frames == 7
    assert sink.numbers == list(range(7))
    assert working_threads() == []


@pytest.mark.parametrize("full_at", [0, 5, 19])
def test_a_sink_that_is_full_ends_the_work(full_at: int) -> None:
    source, sink = Numbers(20), Album(full_at=full_at)

    with pytest.raises(SinkError, match="the disk is full"):
        redraw(source, sink, artist=Each(brighter))

    assert sink.numbers == list(range(full_at))
    assert source.given <= full_at + 10
    assert working_threads() == []


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_what_drawing_raises_comes_out_and_the_threads_end(error: BaseException) -> None:
    source, sink = Numbers(1000), Album()

    def draw(frame: Frame) -> Frame:
        if frame.stamp.index == 3:
            raise error
        return frame

    with pytest.raises(type(error)):
        redraw(source, sink, artist=Each(draw))

    assert sink.numbers == [0, 1, 2]
    assert source.given <= 10
    assert working_threads() == []


def test_a_stop_finishes_the_frame_and_writes_what_was_drawn() -> None:
    source, sink = Numbers(1000), Album()

    done = redraw(source, sink, artist=Each(brighter), is_stopped=lambda: source.given >= 6)

    assert not done.is_whole
    assert 1 <= done.frames <= 6
    assert sink.numbers == list(range(done.frames))
    assert working_threads() == []


def test_a_source_without_frames_gives_none() -> None:
    done = redraw(Numbers(0), Album(), artist=Each(brighter))

    assert (done.frames, done.is_whole) == (0, True)


def test_outside_the_content_a_letterboxed_frame_stays_black() -> None:
    artist = Finished(Each(brighter), only_within(Rect(2, 1, 4, 2)))

    [(_, drawn)] = artist.draw(frame(1))

    expected = np.zeros((4, 8, 3), np.uint8)
    expected[1:3, 2:6] = 101
    assert np.array_equal(drawn.pixels, expected)
    assert drawn.stamp.revision == 3


def test_the_input_is_on_the_left_of_its_answer() -> None:
    [(_, both)] = Finished(Each(brighter), with_input).draw(frame(1))

    assert both.pixels.shape == (4, 16, 3)
    assert (int(both.pixels[0, 7, 0]), int(both.pixels[0, 8, 0])) == (1, 101)
    assert (both.stamp.index, both.stamp.revision) == (1, 3)
