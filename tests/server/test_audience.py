from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any  # Any: whatever a test's coroutine returns

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from server.aiortc_tuning import SharedH264, Tuning
from server.audience import Audience
from streamgen.frame import Frame, Stamp


def run(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test

    asyncio.run(limited())


def frame(grey: int, index: int = 0, size: int = 64) -> Frame:
    stamp = Stamp(index=index, pts=0, time_base=Fraction(1, 90_000), ingest_ns=0)
    return Frame(pixels=np.full((size, size, 3), grey, np.uint8), stamp=stamp)


class Clock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Viewer:
    """Keeps what it is handed, and decodes it."""

    def __init__(self) -> None:
        self.packets: list[Packet[VideoStream]] = []
        self.pictures: list[VideoFrame] = []
        self._decoder = av.CodecContext.create("h264", "r")
        self._came = asyncio.Event()

    def take(self, packet: Packet[VideoStream]) -> None:
        self.packets.append(packet)
        self.pictures += self._decoder.decode(packet)
        self._came.set()

    @property
    def keys(self) -> list[bool]:
        return [packet.is_keyframe for packet in self.packets]

    async def has(self, count: int) -> None:
        while len(self.packets) < count:
            self._came.clear()
            await self._came.wait()


class Encoders:
    """Makes encoders for audiences, and knows them all."""

    def __init__(self) -> None:
        self.made: list[SharedH264] = []

    def __call__(self) -> SharedH264:
        self.made.append(SharedH264(Tuning(), bitrate=500_000))
        return self.made[-1]


def audience_of(
    pool: ThreadPoolExecutor, *, encoders: Encoders | None = None, clock: Clock | None = None
) -> Audience:
    return Audience(pool, encoder=encoders or Encoders(), clock=clock or Clock())


def left_behind() -> set[str]:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return {task.get_name() for task in tasks if task.get_name() == "audience"}


async def until_pump_ends() -> None:
    pumps = [task for task in asyncio.all_tasks() if task.get_name() == "audience"]
    if pumps:
        await asyncio.wait(pumps)


def test_pictures_are_encoded_once_for_all(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        encoders = Encoders()
        audience = audience_of(pool, encoders=encoders)
        viewers = [Viewer() for _ in range(8)]
        for viewer in viewers:
            audience.join(viewer)
        for number in range(5):
            audience.out.show(frame(20 * number, number))
            await viewers[0].has(number + 1)
        (encoder,) = encoders.made
        assert (encoder.builds, encoder.encoded, audience.encoded, audience.count) == (1, 5, 5, 8)
        for viewer in viewers:
            assert all(a is b for a, b in zip(viewer.packets, viewers[0].packets, strict=True))
            assert viewer.keys == [True, False, False, False, False]
            assert len(viewer.pictures) == 5
        await audience.close()

    run(test())


def test_times_rise_though_the_clock_stands(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        audience, viewer = audience_of(pool), Viewer()
        audience.join(viewer)
        for number in range(4):
            audience.out.show(frame(100, number))
            await viewer.has(number + 1)
        times = [packet.pts for packet in viewer.packets]
        assert times == sorted(set(times))
        await audience.close()

    run(test())


def test_late_joiner_begins_with_a_key_frame_at_once_though_nothing_moves(
    pool: ThreadPoolExecutor,
) -> None:
    async def test() -> None:
        audience, early, late = audience_of(pool), Viewer(), Viewer()
        audience.join(early)
        for number in range(3):
            audience.out.show(frame(50 + number, number))
            await early.has(number + 1)
        audience.join(late)
        await late.has(1)
        assert late.keys == [True]
        assert early.keys == [True, False, False, True]
        assert len(late.pictures) == 1
        await audience.close()

    run(test())


def test_wish_for_a_key_frame_is_met_at_once_and_once_for_all(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        clock = Clock()
        audience, viewer = audience_of(pool, clock=clock), Viewer()
        audience.join(viewer)
        audience.out.show(frame(50))
        await viewer.has(1)
        clock.now_ns += 1_000_000_000
        for _ in range(10):
            audience.ask_for_key()
        await viewer.has(2)
        audience.out.show(frame(60, 1))
        await viewer.has(3)
        assert viewer.keys == [True, True, False]
        await audience.close()

    run(test())


def test_wish_soon_after_a_key_frame_waits(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        clock = Clock()
        audience, viewer = audience_of(pool, clock=clock), Viewer()
        audience.join(viewer)
        audience.out.show(frame(50))
        await viewer.has(1)
        clock.now_ns -= 60_000_000_000  # the half second is not over while this test runs
        audience.ask_for_key()
        audience.out.show(frame(60, 1))
        await viewer.has(2)
        assert viewer.keys == [True, False]
        await audience.close()

    run(test())


def test_wish_that_waits_is_met_though_nothing_moves(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        clock = Clock()
        audience, viewer = audience_of(pool, clock=clock), Viewer()
        audience.join(viewer)
        audience.out.show(frame(50))
        await viewer.has(1)
        clock.now_ns += 400_000_000
        audience.ask_for_key()
        audience.ask_for_key()
        await viewer.has(2)
        assert viewer.keys == [True, True]
        await audience.close()

    run(test())


def test_joiner_need_not_wait_for_the_half_second_and_takes_the_wish_of_others_along(
    pool: ThreadPoolExecutor,
) -> None:
    async def test() -> None:
        clock = Clock()
        audience, early, late = audience_of(pool, clock=clock), Viewer(), Viewer()
        audience.join(early)
        audience.out.show(frame(50))
        await early.has(1)
        audience.ask_for_key()
        audience.join(late)
        await late.has(1)
        clock.now_ns += 600_000_000
        audience.out.show(frame(60, 1))
        await late.has(2)
        assert early.keys == [True, True, False]
        await audience.close()

    run(test())


def test_another_size_needs_no_wish(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        encoders = Encoders()
        audience, viewer = audience_of(pool, encoders=encoders), Viewer()
        audience.join(viewer)
        for number, size in enumerate((64, 128)):
            audience.out.show(frame(50, number, size))
            await viewer.has(number + 1)
        assert viewer.keys == [True, True]
        assert [picture.width for picture in viewer.pictures] == [64, 128]
        assert encoders.made[0].builds == 2
        await audience.close()

    run(test())


def test_output_modes_hold_for_those_who_watch(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        audience, viewer = audience_of(pool), Viewer()
        audience.out.show(frame(200))
        audience.out.set_mode("black")
        audience.join(viewer)
        await viewer.has(1)
        audience.out.set_mode("live")
        await viewer.has(2)
        levels = [round(float(picture.to_ndarray()[:64].mean()), -1) for picture in viewer.pictures]
        assert levels == [20, 190]
        await audience.close()

    run(test())


def test_who_comes_after_all_went_is_not_shown_what_was_before_black(
    pool: ThreadPoolExecutor,
) -> None:
    async def test() -> None:
        audience, first, second = audience_of(pool), Viewer(), Viewer()
        audience.join(first)
        audience.out.show(frame(200))
        await first.has(1)
        audience.leave(first)
        await until_pump_ends()
        audience.out.set_mode("black")
        audience.join(second)
        await second.has(1)
        assert second.keys == [True]
        assert second.pictures[0].to_ndarray()[:64].max() < 20
        await audience.close()

    run(test())


def test_nothing_is_encoded_while_nobody_watches(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        encoders = Encoders()
        audience, viewer = audience_of(pool, encoders=encoders), Viewer()
        audience.out.show(frame(10))
        assert (left_behind(), encoders.made) == (set(), [])
        audience.join(viewer)
        await viewer.has(1)
        audience.leave(viewer)
        await until_pump_ends()
        audience.out.show(frame(20))
        assert (left_behind(), audience.count, audience.encoded) == (set(), 0, 1)
        await audience.close()

    run(test())


def test_who_left_gets_nothing_more_and_the_others_go_on(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        audience, stays, leaves = audience_of(pool), Viewer(), Viewer()
        audience.join(stays)
        audience.join(leaves)
        audience.out.show(frame(10))
        await stays.has(1)
        audience.leave(leaves)
        audience.leave(leaves)
        audience.out.show(frame(20, 1))
        await stays.has(2)
        assert (len(stays.packets), len(leaves.packets)) == (2, 1)
        await audience.close()

    run(test())


@pytest.mark.parametrize("has_picture", [True, False])
def test_close_leaves_no_task_and_nobody_can_join(
    pool: ThreadPoolExecutor, has_picture: bool
) -> None:
    async def test() -> None:
        audience, viewer = audience_of(pool), Viewer()
        audience.join(viewer)
        if has_picture:
            audience.out.show(frame(10))
            await viewer.has(1)
        audience.ask_for_key()
        await audience.close()
        await audience.close()
        audience.join(Viewer())
        audience.ask_for_key()
        assert (left_behind(), audience.count) == (set(), 0)

    run(test())


def test_viewer_who_went_before_the_first_picture_changes_nothing_for_the_next(
    pool: ThreadPoolExecutor,
) -> None:
    async def test() -> None:
        audience, first, second = audience_of(pool), Viewer(), Viewer()
        audience.join(first)
        audience.leave(first)
        audience.join(second)
        audience.out.show(frame(10))
        await second.has(1)
        assert (first.packets, second.keys) == ([], [True])
        await audience.close()

    run(test())


class Telling(SharedH264):
    """Tells that a picture could not be encoded."""

    def __init__(self, tell: Callable[[], object]) -> None:
        super().__init__(Tuning(), bitrate=500_000)
        self._tell = tell

    def encode(self, picture: VideoFrame, *, is_key: bool) -> list[Packet[VideoStream]]:
        try:
            return super().encode(picture, is_key=is_key)
        except av.FFmpegError:
            self._tell()
            raise


def test_picture_that_cannot_be_encoded_is_told_of_and_followed_by_a_key_frame(
    pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        has_failed, loop = asyncio.Event(), asyncio.get_running_loop()
        encoder = Telling(lambda: loop.call_soon_threadsafe(has_failed.set))
        audience, viewer = Audience(pool, encoder=lambda: encoder, clock=Clock()), Viewer()
        audience.join(viewer)
        audience.out.show(frame(10))
        await viewer.has(1)
        wide = np.zeros((2, 20_000, 3), np.uint8)
        audience.out.show(Frame(pixels=wide, stamp=frame(10, 1).stamp))
        await has_failed.wait()
        audience.out.show(frame(30, 2))
        await viewer.has(2)
        assert viewer.keys == [True, True]
        await audience.close()

    run(test())
    assert "could not be encoded" in caplog.text
