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

from server.barcode import read, write
from server.errors import TooLarge
from server.pictures import TOO_LARGE_COUNT, Inlet
from streamgen.frame import Frame

SIZES = [(640, 480), (641, 479), (2, 2), (1, 1), (1920, 1080), (480, 848), (64, 64)]


class Ticks:
    """A clock that goes on by one frame interval each time it is asked."""

    def __init__(self, step_ns: int = 33_000_000) -> None:
        self.now_ns = 0
        self.step_ns = step_ns

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns


def yuv(width: int, height: int, pts: int = 0, grey: int = 90) -> av.VideoFrame:
    pixels = np.full((height, width, 3), grey, np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    frame.pts, frame.time_base = pts, Fraction(1, 90_000)
    return frame


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def settle(inlet: Inlet, frames: list[Frame], count: int) -> None:
    async with asyncio.timeout(10):
        while len(frames) + inlet.refused + inlet.replaced < count:
            await asyncio.sleep(0.005)


def test_frames_of_any_size_one_after_the_other_fit_the_stream(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        inlet = Inlet(asyncio.get_running_loop(), pool, (256, 192), frames.append, clock=Ticks())
        for count, size in enumerate(SIZES, 1):
            inlet.take(yuv(*size))
            await settle(inlet, frames, count)
        assert [frame.pixels.shape for frame in frames] == [(192, 256, 3)] * len(SIZES)
        assert [frame.stamp.index for frame in frames] == list(range(len(SIZES)))
        assert inlet.last_size == SIZES[-1]
        assert all(np.abs(frame.pixels.astype(int) - 90).max() <= 2 for frame in frames)

    run(test())


def test_formats_may_change_between_two_frames(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), frames.append, clock=Ticks())
        formats = ["yuv420p", "nv12", "rgb24", "yuvj420p", "gray", "yuv444p"]
        for count, name in enumerate(formats, 1):
            inlet.take(yuv(80, 60).reformat(format=name))
            await settle(inlet, frames, count)
        assert len(frames) == len(formats)
        assert all(np.abs(frame.pixels.astype(int) - 90).max() <= 3 for frame in frames)

    run(test())


def test_camera_picture_covers_the_size_and_loses_its_sides(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), frames.append)
        pixels = np.zeros((120, 160, 3), np.uint8)
        pixels[:, 20:140] = 255
        inlet.take(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
        await settle(inlet, frames, 1)
        assert frames[0].pixels[:, 2:62].min() >= 250

    run(test())


def test_only_the_newest_waits_while_one_is_converted(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        go = Event()

        def put(frame: Frame) -> None:
            assert go.wait(10)
            frames.append(frame)

        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), put, clock=Ticks())
        for pts in range(50):
            inlet.take(yuv(64, 64, pts=pts))
        go.set()
        await settle(inlet, frames, 50)
        assert [frame.stamp.pts for frame in frames] == [0, 49]
        assert (inlet.received, inlet.replaced, inlet.refused) == (50, 48, 0)

    run(test())


def test_frames_above_the_rate_are_refused_before_they_cost_anything(
    pool: ThreadPoolExecutor,
) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        clock = Ticks(step_ns=1_000_000)  # 1000 frames a second
        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), frames.append, clock=clock)
        for pts in range(1000):
            inlet.take(yuv(16, 16, pts=pts))
        await settle(inlet, frames, 1000)
        assert 1000 - inlet.refused == pytest.approx(60 + 8, abs=3)

    run(test())


@pytest.mark.parametrize("size", [(3840, 2160), (4000, 2)])
def test_peer_that_keeps_sending_what_is_too_large_is_told(
    size: tuple[int, int], pool: ThreadPoolExecutor
) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        inlet = Inlet(asyncio.get_running_loop(), pool, (256, 256), frames.append)
        for _ in range(TOO_LARGE_COUNT - 1):
            inlet.take(av.VideoFrame(*size, "yuv420p"))
        with pytest.raises(TooLarge, match=f"{size[0]}x{size[1]}: at most 2073600 pixels"):
            inlet.take(av.VideoFrame(*size, "yuv420p"))
        assert frames == []

    run(test())


def test_one_large_picture_between_others_is_only_left_out(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), frames.append, clock=Ticks())
        for count in range(2 * TOO_LARGE_COUNT):
            inlet.take(yuv(64, 64) if count % 2 else av.VideoFrame(3840, 2160, "yuv420p"))
            await settle(inlet, frames, count + 1)
        assert inlet.refused == len(frames) == TOO_LARGE_COUNT

    run(test())


def test_barcode_is_read_before_the_picture_is_mirrored(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        loop = asyncio.get_running_loop()
        inlet = Inlet(loop, pool, (256, 256), frames.append, mirror=True, barcode=True)
        pixels = np.full((480, 640, 3), 128, np.uint8)
        write(pixels, 4711)
        inlet.take(av.VideoFrame.from_ndarray(pixels, format="rgb24"))
        await settle(inlet, frames, 1)
        assert inlet.number_of(0) == read(frames[0].pixels[:, ::-1]) == 4711
        assert inlet.number_of(1) is None

    run(test())


def test_frames_have_the_new_size_after_resize(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), frames.append, clock=Ticks())
        inlet.resize(128, 96)
        inlet.take(yuv(640, 480))
        await settle(inlet, frames, 1)
        assert (frames[0].width, frames[0].height) == (128, 96)

    run(test())


def test_what_the_stream_raises_reaches_whoever_drains(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        def put(frame: Frame) -> None:
            raise KeyError(frame.stamp.index)

        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), put, clock=Ticks())
        with pytest.raises(KeyError):
            async with asyncio.timeout(10):
                while True:
                    inlet.take(yuv(64, 64))
                    await asyncio.sleep(0.005)

    run(test())


def test_inlet_without_frames_is_stalled(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        inlet = Inlet(loop, pool, (64, 64), lambda frame: None, clock=lambda: 0)
        assert not inlet.is_stalled(10_000_000_000)
        assert inlet.is_stalled(10_000_000_001)
        assert inlet.is_stalled(2_000_000_001, after_s=2)

    run(test())
