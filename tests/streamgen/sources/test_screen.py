from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import count

import numpy as np
import pytest

from streamgen.errors import SourceError
from streamgen.frame import Pixels
from streamgen.sources import Rect, Size, SourceOptions
from streamgen.sources.screen import ScreenSource, open_mss, open_screen

LEFT, RIGHT = Rect(0, 0, 64, 48), Rect(64, 8, 32, 16)


class TwoMonitors:
    """Blue is where a pixel lies from the left, green from the top, red how often it was asked."""

    def __init__(self) -> None:
        self.pictures = 0
        self.is_open = True

    def monitors(self) -> Sequence[Rect]:
        return (Rect(0, 0, 96, 48), LEFT, RIGHT)

    def grab(self, part: Rect) -> Pixels:
        assert self.is_open
        picture = np.zeros((part.height, part.width, 3), np.uint8)
        picture[..., 0] = np.arange(part.x, part.x + part.width)
        picture[..., 1] = np.arange(part.y, part.y + part.height)[:, None]
        picture[..., 2] = self.pictures
        self.pictures += 1
        return picture

    def close(self) -> None:
        self.is_open = False


def options(
    *,
    size: Size | None = None,
    rate: Fraction | None = None,
    clock: Callable[[], int] | None = None,
) -> SourceOptions:
    return SourceOptions(size=size, fit="crop", rate=rate, clock=clock or count().__next__)


def open_two(location: str, *, size: Size | None = None) -> ScreenSource:
    return open_screen(location, options(size=size), grabber=TwoMonitors)


@pytest.mark.parametrize(
    ("location", "corner", "size"),
    [
        ("screen:", (0, 0), Size(64, 48)),
        ("screen:1", (0, 0), Size(64, 48)),
        ("screen:2", (64, 8), Size(32, 16)),
        ("screen:all", (0, 0), Size(96, 48)),
        ("screen:2?region=4,2,16x8", (68, 10), Size(16, 8)),
    ],
)
def test_a_monitor_or_a_part_of_it_is_seen(location, corner, size) -> None:
    with open_two(location) as source:
        frame = next(source.frames())

    assert (source.info.width, source.info.height) == (size.width, size.height)
    assert frame.pixels.shape == (size.height, size.width, 3)
    blue, green = int(frame.pixels[0, 0, 2]), int(frame.pixels[0, 0, 1])
    assert (blue, green) == corner


def test_pictures_come_at_the_size_asked_for() -> None:
    with open_two("screen:", size=Size(32, 32)) as source:
        assert next(source.frames()).pixels.shape == (32, 32, 3)


def test_pictures_come_at_their_rate_and_a_tick_that_is_missed_is_left_out() -> None:
    now, waits = 0, []

    def wait(seconds: float) -> bool:
        nonlocal now
        waits.append(round(seconds, 3))
        now += round(seconds * 1e9)
        return len(waits) == 4

    source = ScreenSource(
        LEFT,
        Size(64, 48),
        rate=Fraction(10),
        options=options(clock=lambda: now),
        grabber=TwoMonitors,
        wait=wait,
    )
    stamps = []
    for frame in source.frames():
        stamps.append(frame.stamp)
        now += 30_000_000 if frame.stamp.index != 1 else 250_000_000

    assert [stamp.pts for stamp in stamps] == [0, 9000, 36000, 45000]
    assert [stamp.index for stamp in stamps] == [0, 1, 2, 3]
    assert waits == [0.07, 0.05, 0.07, 0.07]
    assert stamps[2].ingest_ns == stamps[2].capture_ns == 400_000_000


def test_frames_end_when_interrupted_and_the_screen_is_let_go_of() -> None:
    eyes: list[TwoMonitors] = []

    def grabber() -> TwoMonitors:
        eyes.append(TwoMonitors())
        return eyes[-1]

    source = open_screen("screen:?rate=1/10", options(), grabber=grabber)
    frames = source.frames()
    next(frames)
    source.interrupt()

    assert list(frames) == []
    assert [eye.is_open for eye in eyes] == [False, False]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("screen:3", r"there are screen:all, screen:1 \(64x48\), screen:2 \(32x16 at 64,8\)"),
        ("screen:left", "there are screen:all"),
        ("screen:1?region=0,0", "write x,y,WxH"),
        ("screen:1?region=40,0,32x8", "lies beyond the screen of 64x48"),
        ("screen:1?region=0,0,0x8", "lies beyond"),
        ("screen:1?rate=0", "allowed is from 1/100"),
        ("screen:1?window=Game", "allowed are region, rate"),
    ],
)
def test_a_wrong_option_is_named(location: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_two(location)


def test_the_rate_of_a_folder_is_not_that_of_a_screen() -> None:
    with pytest.raises(SourceError, match=r"screen:1\?rate=25"):
        open_screen("screen:1", options(rate=Fraction(25)), grabber=TwoMonitors)


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mss", None)  # what Python does with a name it must not find

    with pytest.raises(SourceError, match=r"needs the library mss: pip install 'streamgen\[screen"):
        open_mss()


@pytest.fixture
def without_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)


@pytest.mark.usefixtures("without_display")
def test_a_screen_that_cannot_be_seen_says_what_is_missing() -> None:
    with pytest.raises(SourceError, match="^screen: (needs the library mss: pip|cannot be seen)"):
        open_mss()
