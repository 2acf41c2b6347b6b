from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from streamgen.drawing import Pair
from streamgen.errors import SinkError, SourceError
from streamgen.frame import Colour, Frame, Stamp, VideoInfo
from streamgen.realtime import Played, Player, at_wall_clock
from streamgen.sinks import Sink
from streamgen.sources import Rect, Source

PATIENCE_S = 30
MS = 1_000_000
INFO = VideoInfo(
    width=8,
    height=4,
    rate=Fraction(25),
    time_base=Fraction(1, 25),
    frame_count=None,
    colour=Colour(matrix="bt601"),
)


def frame(index: int) -> Frame:
    stamp = Stamp(index=index, pts=index, time_base=INFO.time_base, ingest_ns=index * 40 * MS)
    return Frame(pixels=np.full((4, 8, 3), index % 256, np.uint8), stamp=stamp)


class Numbers(Source):
    """Frames that wait for `may_give`, and an error or silence at the end."""

    def __init__(self, total: int, *, error: Exception | None = None) -> None:
        self.info = INFO
        self.content = Rect(0, 0, 8, 4)
        self.audio: Path | None = None
        self.total = total
        self.error = error
        self.may_give: Callable[[int], bool] = lambda index: True
        self.on_end: Callable[[], None] = lambda: None
        self.is_endless = False
        self.is_interrupted = threading.Event()

    def frames(self) -> Iterator[Frame]:
        for index in range(self.total):
            assert self.may_give(index)
            yield frame(index)
        self.on_end()
        if self.error is not None:
            raise self.error
        if self.is_endless:
            assert self.is_interrupted.wait(PATIENCE_S)

    def interrupt(self) -> None:
        self.is_interrupted.set()

    def close(self) -> None:
        pass


class Album(Sink):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.written: list[Frame] = []
        self.idles = 0
        self.on_write: Callable[[int], None] = lambda index: None

    def write(self, frame: Frame) -> None:
        self.on_write(frame.stamp.index)
        self.written.append(frame)

    def idle(self) -> None:
        self.idles += 1

    def finish(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    @property
    def numbers(self) -> list[int]:
        return [frame.stamp.index for frame in self.written]


class Late:
    """Answers each frame when `late` more have come, as a stream batch does."""

    def __init__(self, late: int = 0) -> None:
        self.waiting: list[Frame] = []
        self.late = late
        self.on_draw: Callable[[int], None] = lambda index: None

    def draw(self, frame: Frame) -> Sequence[Pair]:
        self.on_draw(frame.stamp.index)
        self.waiting.append(frame)
        ready = [self.waiting.pop(0)] if len(self.waiting) > self.late else []
        return [Pair(each, each) for each in ready]

    def finish(self) -> Sequence[Pair]:
        rest, self.waiting = self.waiting, []
        return [Pair(each, each) for each in rest]


def keep_in_step(source: Numbers, sink_or_artist: Album | Late) -> None:
    """Have a source give its next frame when the one before is written, or drawn."""
    done = threading.Semaphore(1)
    source.may_give = lambda index: done.acquire(timeout=PATIENCE_S)
    if isinstance(sink_or_artist, Album):
        sink_or_artist.on_write = lambda index: done.release()
    else:
        sink_or_artist.on_draw = lambda index: done.release()


def player(**odd: object) -> Player:
    return Player(**{"clock": lambda: 0, **odd})  # type: ignore[arg-type]  # of a test's keywords


def threads_left() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name in ("source", "draw")]


def test_a_model_that_keeps_up_draws_every_frame() -> None:
    source, sink = Numbers(20), Album()
    keep_in_step(source, sink)

    played = player().play(source, sink, artist=Late())

    assert sink.numbers == list(range(20))
    assert (played.read, played.drawn, played.frames) == (20, 20, 20)
    assert (played.not_drawn, played.not_shown, played.is_whole) == (0, 0, True)
    assert threads_left() == []


def test_a_slow_model_draws_the_newest_frame_and_the_others_are_counted() -> None:
    source, sink, artist = Numbers(10), Album(), Late()
    is_drawing, all_are_read = threading.Event(), threading.Event()
    source.may_give = lambda index: index == 0 or is_drawing.wait(PATIENCE_S)
    source.on_end = all_are_read.set

    def draw(index: int) -> None:
        is_drawing.set()
        if index == 0:
            assert all_are_read.wait(PATIENCE_S)

    artist.on_draw = draw

    played = player().play(source, sink, artist=artist)

    assert sink.numbers[-1] == 9 and len(sink.numbers) <= 2
    assert (played.read, played.drawn, played.not_drawn) == (10, 2, 8)


def test_a_slow_sink_gets_the_newest_picture_and_the_others_are_counted() -> None:
    source, sink, artist = Numbers(10), Album(), Late()
    all_are_drawn = threading.Event()
    sink.on_write = lambda index: assert_soon(all_are_drawn)
    drawn = threading.Semaphore(1)
    source.may_give = lambda index: drawn.acquire(timeout=PATIENCE_S)

    def draw(index: int) -> None:
        drawn.release()
        if index == 9:
            all_are_drawn.set()

    artist.on_draw = draw

    played = player().play(source, sink, artist=artist)

    assert played.read == played.drawn + played.not_drawn
    assert played.drawn == played.frames + played.not_shown
    assert played.not_shown > 0 and sink.numbers[-1] == 9


def assert_soon(event: threading.Event) -> None:
    assert event.wait(PATIENCE_S)


def test_frames_under_way_are_finished_at_the_end() -> None:
    source, sink, artist = Numbers(6), Album(), Late(late=6)
    keep_in_step(source, artist)

    played = player().play(source, sink, artist=artist)

    assert (played.frames, played.drawn) == (6, 6)
    assert sink.numbers == list(range(6))


def test_what_is_written_is_stamped_by_the_clock_and_rises() -> None:
    source, sink = Numbers(3), Album()
    keep_in_step(source, sink)

    player().play(source, sink, artist=Late())

    info = at_wall_clock(INFO)
    assert [each.stamp.pts for each in sink.written] == [0, 3600, 7200]
    assert {each.stamp.time_base for each in sink.written} == {info.time_base}
    assert (info.time_base, info.frame_count) == (Fraction(1, 90000), None)


def test_the_age_is_that_of_the_picture_when_the_sink_has_it() -> None:
    source, sink = Numbers(5), Album()
    keep_in_step(source, sink)
    time = count(25 * MS, 40 * MS)

    played = player(clock=lambda: next(time)).play(source, sink, artist=Late())

    assert list(played.ages_ms) == [25.0] * 5
    assert played.ages is not None and played.ages.p95 == 25.0
    assert Played().ages is None


def test_a_limit_ends_a_source_that_goes_on() -> None:
    source, sink = Numbers(4), Album()
    source.is_endless = True
    keep_in_step(source, sink)

    played = player(limit=4).play(source, sink, artist=Late())

    assert (played.frames, played.is_whole) == (4, True)
    assert source.is_interrupted.is_set()


def test_a_source_that_gives_nothing_can_be_stopped_and_the_sink_stays_alive() -> None:
    source, sink = Numbers(0), Album()
    source.is_endless = True

    played = player(is_stopped=lambda: sink.idles == 2).play(source, sink, artist=Late())

    assert (played.frames, played.is_whole, sink.idles >= 2) == (0, False, True)
    assert threads_left() == []


def test_a_sink_that_nobody_watches_any_more_ends_it_well() -> None:
    source, sink = Numbers(50), Album()
    keep_in_step(source, sink)

    def close(index: int) -> None:
        sink.is_wanted = index < 3
        release(index)

    release, sink.on_write = sink.on_write, close

    played = player().play(source, sink, artist=Late())

    assert played.is_whole and played.error is None
    assert 4 <= played.frames < 50


def test_an_error_of_the_source_is_told_after_the_pictures_before_it() -> None:
    source, sink = Numbers(3, error=SourceError("camera 'x' stopped")), Album()
    artist = Late(late=1)
    keep_in_step(source, artist)

    played = player().play(source, sink, artist=artist)

    assert str(played.error) == "camera 'x' stopped"
    assert not played.is_whole
    assert sink.numbers[-1] == 2


@pytest.mark.parametrize("where", ["draw", "write", "read"])
def test_any_other_error_comes_out_and_leaves_no_thread_behind(where: str) -> None:
    source, sink, artist = Numbers(9), Album(), Late()
    source.is_endless = True

    def fail(index: int) -> None:
        raise SinkError(f"broken at {index}")

    if where == "draw":
        artist.on_draw = fail
    elif where == "write":
        sink.on_write = fail
    else:
        source.error = SinkError("broken")

    with pytest.raises(SinkError, match="broken"):
        player().play(source, sink, artist=artist)

    assert threads_left() == []


def test_how_it_goes_is_told_on_the_way() -> None:
    source, sink = Numbers(5), Album()
    keep_in_step(source, sink)
    told: list[int] = []

    player(on_frame=lambda played: told.append(played.frames)).play(source, sink, artist=Late())

    assert told[-1] == 5 and told == sorted(told)
