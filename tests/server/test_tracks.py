from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from threading import Event
from typing import Any  # Any: whatever a test's coroutine returns

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from server.aiortc_tuning.encoding import report_encoding
from server.barcode import read
from server.pictures import Inlet
from server.tracks import OutTrack, Timing, drain
from streamgen.frame import Frame, Stamp
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size


def run(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test

    asyncio.run(limited())


def frame(grey: int, index: int = 0, size: int = 64) -> Frame:
    stamp = Stamp(
        index=index, pts=0, time_base=Fraction(1, 90_000), ingest_ns=5, tick_ns=6, revision=3
    )
    return Frame(pixels=np.full((size, size, 3), grey, np.uint8), stamp=stamp)


def grey(picture: av.VideoFrame) -> int:
    """Return the grey of a picture in steps of ten."""
    size = Size(picture.width, picture.height)
    pixels = Converter(size, fit="crop").convert(picture, Stance())
    return 10 * round(float(pixels.mean()) / 10)


class Endless(MediaStreamTrack):
    """Sends frames as fast as they are read, then ends."""

    kind = "video"

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    async def recv(self) -> av.VideoFrame:
        if not self.left:
            raise MediaStreamError
        self.left -= 1
        await asyncio.sleep(0)
        return av.VideoFrame(16, 16, "yuv420p")


def test_track_is_read_to_its_end_while_nothing_is_taken(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        go = Event()
        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), lambda frame: assert_(go.wait(9)))
        await drain(Endless(100), inlet)
        go.set()
        assert inlet.received == 100

    def assert_(is_true: bool) -> None:
        assert is_true

    run(test())


def test_track_that_nobody_wants_is_read_to_its_end() -> None:
    async def test() -> None:
        track = Endless(100)
        await drain(track, None)
        assert track.left == 0

    run(test())


def test_nothing_comes_before_the_first_picture(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool, repeat_after_s=0.01)
        for mode in ("live", "freeze", "black", "bypass"):
            track.set_mode(mode)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(track.recv(), 0.05)

    run(test())


def test_newest_picture_wins(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool)
        for level in (50, 100, 200):
            track.show(frame(level))
        assert grey(await track.recv()) == 200
        assert track.replaced == 2

    run(test())


def test_last_picture_comes_again_at_once_where_it_is_asked_for(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool, repeat_after_s=3600)
        track.repeat()  # there is none yet: the first one is as good
        track.show(frame(100))
        first = (await track.recv()).pts
        waiting = asyncio.ensure_future(track.recv())
        await asyncio.sleep(0)
        assert not waiting.done()
        track.repeat()
        again = await waiting
        assert first is not None and again.pts is not None
        assert (grey(again), again.pts > first) == (100, True)
        track.repeat()
        track.show(frame(200))
        assert grey(await track.recv()) == 200

    run(test())


def test_last_picture_is_repeated_for_want_of_a_new_one(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        told: list[Timing] = []
        track = OutTrack(pool, timings=told.append, repeat_after_s=0.01)
        track.show(frame(100))
        times = []
        for _ in range(4):
            picture = await track.recv()
            assert grey(picture) == 100
            assert picture.pts is not None
            times.append(picture.pts)
            report_encoding(picture, 0.002)
        await asyncio.sleep(0)
        assert times == sorted(set(times))
        assert len(told) == 1  # a repeated picture is nothing new

    run(test())


def test_times_rise_even_when_the_clock_stands(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool, clock=lambda: 7)
        times = []
        for level in range(5):
            track.show(frame(level))
            picture = await track.recv()
            times.append((picture.pts, picture.time_base))
        assert times == [(pts, Fraction(1, 90_000)) for pts in range(5)]

    run(test())


def test_times_are_those_of_the_wall_clock(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        now = [1_000_000_000]
        track = OutTrack(pool, clock=lambda: now[0])
        times = []
        for now_ns in (1_000_000_000, 1_500_000_000, 3_000_000_000):
            now[0] = now_ns
            track.show(frame(1))
            times.append((await track.recv()).pts)
        assert times == [0, 45_000, 180_000]

    run(test())


def test_size_of_the_pictures_may_change(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool)
        widths = []
        for size in (64, 96, 63):
            track.show(frame(1, size=size))
            widths.append((await track.recv()).width)
        assert widths == [64, 96, 64]

    run(test())


def test_timing_tells_the_way_of_the_frame_that_is_answered(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        told: list[Timing] = []
        now = iter(range(100, 200))
        track = OutTrack(pool, clock=lambda: next(now), timings=told.append)
        track.show(frame(1, index=42))
        picture = await track.recv()
        await asyncio.to_thread(report_encoding, picture, 0.0025)
        await asyncio.sleep(0)
        (timing,) = told
        assert (timing.index, timing.revision, timing.ingest_ns, timing.tick_ns) == (42, 3, 5, 6)
        assert timing.tick_ns < timing.drawn_ns < timing.shown_ns
        assert (timing.pts, timing.encode_ms) == (picture.pts, 2.5)

    run(test())


def test_barcode_of_the_input_is_stamped_on_its_answer(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool, number_of={7: 4711}.get)
        offered = frame(128, index=7, size=256)
        track.show(offered)
        picture = await track.recv()
        pixels = Converter(Size(256, 256), fit="crop").convert(picture, Stance())
        assert read(pixels) == 4711
        assert offered.pixels.min() == 128  # the frame itself is left alone

    run(test())


def test_whoever_waits_for_a_stopped_track_is_told(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool)
        waiting = asyncio.ensure_future(track.recv())
        await asyncio.sleep(0)
        track.stop()
        with pytest.raises(MediaStreamError):
            await waiting

    run(test())


def test_pictures_may_be_offered_by_other_threads(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool)
        waiting = asyncio.ensure_future(track.recv())
        await asyncio.to_thread(track.show, frame(100))
        assert grey(await waiting) == 100

    run(test())
