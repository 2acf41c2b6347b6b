from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamgen.frame import Colour, Frame, Stamp, VideoInfo
from streamgen.sources import Rect, Source, open_source
from streamgen.sources.paced import PacedSource

TICK_NS = 40_000_000
PICTURE = np.zeros((4, 8, 3), np.uint8)


class Time:
    """A clock that moves where somebody waits or works."""

    def __init__(self) -> None:
        self.now = 1_000_000_000_000
        self.waits: list[float] = []

    def clock(self) -> int:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(round(seconds, 6))
        self.now += round(seconds * 1e9)
        return False

    def passes(self, milliseconds: float) -> None:
        self.now += round(milliseconds * 1e6)


class Clip(Source):
    """Frames at given ticks of 40 ms; `on_read` happens before each."""

    def __init__(self, ticks: list[int], on_read: Callable[[], None] = lambda: None) -> None:
        self.info = VideoInfo(
            width=8,
            height=4,
            rate=Fraction(25),
            time_base=Fraction(1, 25),
            frame_count=len(ticks),
            colour=Colour(matrix="bt601"),
        )
        self.content = Rect(0, 0, 8, 4)
        self.audio: Path | None = None
        self.ticks = ticks
        self.on_read = on_read
        self.closings = 0

    def frames(self) -> Iterator[Frame]:
        for index, tick in enumerate(self.ticks):
            self.on_read()
            stamp = Stamp(index=index, pts=tick, time_base=self.info.time_base, ingest_ns=0)
            yield Frame(pixels=PICTURE, stamp=stamp)

    def close(self) -> None:
        self.closings += 1


def indices(frames: list[Frame]) -> list[int]:
    return [frame.stamp.index for frame in frames]


def test_frames_come_when_their_time_has_come() -> None:
    time = Time()
    start = time.now
    source = PacedSource(Clip([5, 6, 9]), clock=time.clock, wait=time.wait)

    frames = list(source.frames())

    assert [frame.stamp.ingest_ns - start for frame in frames] == [0, TICK_NS, 4 * TICK_NS]
    assert [frame.stamp.pts for frame in frames] == [5, 6, 9]
    assert time.waits == [0.04, 0.12]


def test_work_between_two_frames_is_taken_off_the_waiting() -> None:
    time = Time()
    source = PacedSource(Clip([0, 1, 2]), clock=time.clock, wait=time.wait)

    for _ in source.frames():
        time.passes(30)

    assert time.waits == [0.01, 0.01]
    assert source.skipped == 0


def test_who_is_late_gets_the_newest_frame_that_is_due() -> None:
    time = Time()
    source = PacedSource(Clip(list(range(10))), clock=time.clock, wait=time.wait)
    frames = source.frames()

    first = next(frames)
    time.passes(4.5 * 40)
    second = next(frames)
    third = next(frames)

    assert indices([first, second, third]) == [0, 4, 5]
    assert source.skipped == 3
    assert time.waits == [0.02]


def test_the_last_frame_is_never_skipped() -> None:
    time = Time()
    source = PacedSource(Clip([0, 1, 2]), clock=time.clock, wait=time.wait)
    frames = source.frames()
    next(frames)
    time.passes(100_000)

    assert indices(list(frames)) == [2]


def test_a_source_that_is_read_too_slowly_plays_slower_and_loses_nothing() -> None:
    time = Time()
    clip = Clip(list(range(20)), on_read=lambda: time.passes(60))
    source = PacedSource(clip, clock=time.clock, wait=time.wait)

    frames = list(source.frames())

    assert indices(frames) == list(range(20))
    assert source.skipped == 0


def test_rounds_follow_each_other_with_stamps_that_rise() -> None:
    time = Time()
    clips = [Clip([3, 4, 5]) for _ in range(3)]
    later = iter(clips[1:])
    source = PacedSource(clips[0], clock=time.clock, wait=time.wait, again=lambda: next(later))

    frames = list(islice(source.frames(), 8))

    assert indices(frames) == list(range(8))
    assert [frame.stamp.pts for frame in frames] == list(range(3, 11))
    assert source.info.frame_count is None
    assert [clip.closings for clip in clips] == [1, 1, 0]
    source.close()
    assert clips[2].closings == 1


def test_a_round_without_frames_is_the_last() -> None:
    time = Time()
    source = PacedSource(Clip([0]), clock=time.clock, wait=time.wait, again=lambda: Clip([]))

    assert indices(list(source.frames())) == [0]
    assert list(PacedSource(Clip([]), clock=time.clock).frames()) == []


def test_interrupting_ends_a_long_wait() -> None:
    time = Time()
    source = PacedSource(Clip([0, 10**6]), clock=time.clock)
    frames = source.frames()
    next(frames)
    source.interrupt()

    assert list(frames) == []


def test_a_real_file_loops(make_clip) -> None:
    path, time = make_clip(pts=(0, 1, 2)), Time()
    source = PacedSource(
        open_source(path), clock=time.clock, wait=time.wait, again=lambda: open_source(path)
    )
    with source:
        stamps = [frame.stamp for frame in islice(source.frames(), 7)]

    assert [stamp.index for stamp in stamps] == list(range(7))
    seconds = [stamp.seconds for stamp in stamps]
    gaps = [later - before for before, later in zip(seconds, seconds[1:], strict=False)]
    assert gaps == pytest.approx([0.04] * 6)


@given(
    gaps=st.lists(st.integers(1, 5), min_size=1, max_size=30),
    work_ms=st.lists(st.integers(0, 400), min_size=31, max_size=31),
)
def test_whatever_the_taker_does_frames_are_in_order_counted_and_never_early(gaps, work_ms) -> None:
    ticks = [0]
    for gap in gaps:
        ticks.append(ticks[-1] + gap)
    time = Time()
    start = time.now
    source = PacedSource(Clip(ticks), clock=time.clock, wait=time.wait)
    taken = []
    for frame, ms in zip(source.frames(), work_ms, strict=False):
        taken.append(frame.stamp)
        time.passes(ms)

    numbers = [stamp.index for stamp in taken]
    assert numbers == sorted(set(numbers)) and numbers[-1] == len(gaps)
    assert len(numbers) + source.skipped == len(ticks)
    for stamp in taken:
        assert stamp.ingest_ns - start >= stamp.pts * TICK_NS
        newer = [tick for tick in ticks if stamp.pts < tick]
        assert not newer or stamp.ingest_ns - start < newer[0] * TICK_NS
