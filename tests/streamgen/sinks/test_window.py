from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from streamgen.errors import SinkError
from streamgen.frame import Colour, Frame, Pixels, Stamp, VideoInfo
from streamgen.sinks import is_live
from streamgen.sinks.window import WindowSink, open_window, zoom_of

INFO = VideoInfo(
    width=8,
    height=4,
    rate=None,
    time_base=Fraction(1, 90000),
    frame_count=None,
    colour=Colour(matrix="bt601"),
)


class Pane:
    """A window that can be closed from outside, as a user does."""

    def __init__(self) -> None:
        self.is_open = True
        self.shown: list[Pixels] = []
        self.looks = 0

    def show(self, pixels: Pixels) -> None:
        assert self.is_open
        self.shown.append(pixels)

    def look_after(self) -> None:
        assert self.is_open
        self.looks += 1

    def close(self) -> None:
        self.is_open = False


def frame(level: int) -> Frame:
    stamp = Stamp(index=level, pts=level, time_base=INFO.time_base, ingest_ns=0)
    return Frame(pixels=np.full((4, 8, 3), level, np.uint8), stamp=stamp)


def test_every_frame_is_shown_until_the_window_is_closed() -> None:
    pane = Pane()
    with WindowSink(pane) as sink:
        sink.write(frame(1))
        sink.idle()
        assert sink.is_wanted
        pane.close()
        sink.write(frame(2))
        sink.idle()

    assert [int(pixels[0, 0, 0]) for pixels in pane.shown] == [1]
    assert (sink.frames, pane.looks, sink.is_wanted) == (1, 1, False)


def test_the_window_closes_at_the_end_and_with_an_error() -> None:
    finished, failed = Pane(), Pane()

    with WindowSink(finished):
        pass
    with pytest.raises(RuntimeError), WindowSink(failed):
        raise RuntimeError

    assert (finished.is_open, failed.is_open) == (False, False)


def test_without_a_display_the_error_says_what_to_do_instead() -> None:
    with pytest.raises(SinkError, match="'window:': .*(no display|without Tk)"):
        open_window(INFO, display=":9999")


@pytest.mark.parametrize(("width", "zoom"), [(64, 8), (256, 2), (448, 2), (512, 1), (1920, 1)])
def test_a_small_picture_is_shown_larger(width: int, zoom: int) -> None:
    assert zoom_of(replace(INFO, width=width, height=64)) == zoom


def test_the_table_says_that_a_window_shows_as_time_passes() -> None:
    assert [is_live(location) for location in ("window:", "null:", "out.mp4")] == [
        True,
        False,
        False,
    ]
