"""Tracks, inlet and tuning between two real peer connections in one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any  # Any: whatever a test's coroutine returns

import av
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender
from aiortc.mediastreams import MediaStreamTrack

from server.aiortc_tuning import Tuning, install, tuned_answer, uninstall
from server.barcode import read, write
from server.errors import TooLarge
from server.pictures import TOO_LARGE_COUNT, Inlet
from server.tracks import OutTrack, Timing, drain
from streamgen.frame import Frame, Pixels
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size


@pytest.fixture(autouse=True)
def untuned() -> Iterator[None]:
    yield
    uninstall()


def run(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await test

    asyncio.run(limited())


def numbered(number: int, width: int = 320, height: int = 240) -> Pixels:
    pixels = np.full((height, width, 3), 60 + number % 100, np.uint8)
    write(pixels, number)
    return pixels


class Camera(MediaStreamTrack):
    """Sends the pictures that it is told to, one by one."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self.waiting: asyncio.Queue[Pixels] = asyncio.Queue()
        self.count = 0

    async def recv(self) -> av.VideoFrame:
        pixels = await self.waiting.get()
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        picture.pts, picture.time_base = 3000 * self.count, Fraction(1, 90_000)
        self.count += 1
        return picture


async def until(is_true: Callable[[], bool]) -> None:
    while not is_true():
        await asyncio.sleep(0.005)


@asynccontextmanager
async def connected(
    camera: Camera, out: MediaStreamTrack, codec: str = "VP8"
) -> AsyncIterator[tuple[MediaStreamTrack, MediaStreamTrack]]:
    """Yield the camera's track at the server, and the server's track at the camera's peer."""
    browser = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    server = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tracks: list[MediaStreamTrack] = []
    for peer in (server, browser):
        peer.on("track", tracks.append)
    transceiver = browser.addTransceiver(camera, "sendrecv")
    known = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([each for each in known if each.name in (codec, "rtx")])
    await browser.setLocalDescription(await browser.createOffer())
    await server.setRemoteDescription(browser.localDescription)
    server.addTrack(out)
    await server.setLocalDescription(await server.createAnswer())
    answer = server.localDescription
    answer.sdp = tuned_answer(
        answer.sdp, uplink_floor_kbps=1500, uplink_start_kbps=3000, public_ip=None
    )
    await browser.setRemoteDescription(answer)
    try:
        # What is sent before the other side has its keys is lost.
        await until(lambda: browser.connectionState == server.connectionState == "connected")
        yield tracks[0], tracks[1]
    finally:
        await asyncio.gather(browser.close(), server.close())


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_every_frame_answers_its_own_input_and_comes_without_the_next(
    codec: str, pool: ThreadPoolExecutor
) -> None:
    """The next picture is sent only when this one came back: nothing may wait for it."""

    async def test() -> None:
        install(Tuning(bitrate_min=300_000, bitrate_default=300_000, bitrate_max=600_000))
        told: list[Timing] = []
        camera, back = Camera(), Converter(Size(256, 256), fit="crop")
        inlet = Inlet(
            asyncio.get_running_loop(),
            pool,
            (256, 256),
            lambda taken: out.show(taken.redrawn(255 - taken.pixels, revision=1)),
            barcode=True,
            max_fps=10_000,  # the pictures follow each other as fast as they come back
        )
        out = OutTrack(pool, timings=told.append, number_of=inlet.number_of, repeat_after_s=60)
        async with connected(camera, out, codec) as (incoming, outgoing):
            reading = asyncio.ensure_future(drain(incoming, inlet))
            seen, times = [], []
            for number in range(12):
                camera.waiting.put_nowait(numbered(number))
                picture = await outgoing.recv()
                assert isinstance(picture, av.VideoFrame)
                seen.append(read(back.convert(picture, Stance())))
                times.append(picture.pts)
        await reading
        assert seen == list(range(12))
        assert times == sorted(set(times))
        assert [timing.index for timing in told] == list(range(12))
        assert all(timing.encode_ms > 0 for timing in told)

    run(test())


def test_without_the_marker_bit_a_frame_waits_for_the_next(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        install(Tuning(marker_bit=False))
        frames: list[Frame] = []
        camera = Camera()
        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), frames.append)
        async with connected(camera, OutTrack(pool)) as (incoming, _):
            reading = asyncio.ensure_future(drain(incoming, inlet))
            camera.waiting.put_nowait(numbered(0))
            await until(lambda: camera.count == 1)
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert inlet.received == 0
            camera.waiting.put_nowait(numbered(1))
            await until(lambda: inlet.received == 1)
        await reading

    run(test())


def test_peer_that_changes_its_size_is_followed(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        install(Tuning())
        frames: list[Frame] = []
        camera = Camera()
        inlet = Inlet(
            asyncio.get_running_loop(), pool, (256, 256), frames.append, barcode=True, max_fps=1e4
        )
        sizes = [(320, 240), (640, 480), (321, 241), (176, 144), (1280, 720)]
        async with connected(camera, OutTrack(pool)) as (incoming, _):
            reading = asyncio.ensure_future(drain(incoming, inlet))
            for number, size in enumerate(sizes):
                camera.waiting.put_nowait(numbered(number, *size))
                await until(lambda: len(frames) == camera.count == number + 1)  # noqa: B023
        await reading
        assert [inlet.number_of(index) for index in range(5)] == [0, 1, 2, 3, 4]
        assert {frame.pixels.shape for frame in frames} == {(256, 256, 3)}
        assert inlet.last_size == (1280, 720)

    run(test())


def test_peer_that_sends_more_than_full_hd_is_told_to_go(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        install(Tuning())
        camera, frames = Camera(), list[Frame]()
        inlet = Inlet(asyncio.get_running_loop(), pool, (256, 256), frames.append)
        pixels = np.zeros((1152, 2048, 3), np.uint8)
        async with connected(camera, OutTrack(pool)) as (incoming, _):
            reading = asyncio.ensure_future(drain(incoming, inlet))
            while not reading.done():
                sent = camera.count
                camera.waiting.put_nowait(pixels)
                await until(lambda: reading.done() or camera.count > sent)  # noqa: B023
            with pytest.raises(TooLarge, match="2048x1152"):
                await reading
        assert (inlet.received, frames) == (TOO_LARGE_COUNT, [])

    run(test())


def test_output_modes_reach_the_peer(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        install(Tuning())
        camera, out = Camera(), OutTrack(pool, repeat_after_s=0.05)
        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), out.show_input)
        async with connected(camera, out) as (incoming, outgoing):
            reading = asyncio.ensure_future(drain(incoming, inlet))
            camera.waiting.put_nowait(np.full((64, 64, 3), 200, np.uint8))
            out.set_mode("bypass")
            for mode, brightness in (("bypass", 188), ("black", 16), ("freeze", 16)):
                out.set_mode(mode)
                level = -1
                while abs(level - brightness) > 3:
                    picture = await outgoing.recv()
                    assert isinstance(picture, av.VideoFrame)
                    level = int(picture.to_ndarray()[32, 32])
        await reading

    run(test())


def test_nothing_is_left_after_connections_are_closed(pool: ThreadPoolExecutor) -> None:
    async def once() -> None:
        camera, out = Camera(), OutTrack(pool)
        inlet = Inlet(asyncio.get_running_loop(), pool, (64, 64), out.show)
        async with connected(camera, out) as (incoming, outgoing):
            reading = asyncio.ensure_future(drain(incoming, inlet))
            camera.waiting.put_nowait(numbered(1))
            await outgoing.recv()
        await reading

    async def test() -> None:
        install(Tuning())
        await once()
        decoders = [each for each in threading.enumerate() if each.name == "video-decoder"]
        tasks = len(asyncio.all_tasks())
        for _ in range(3):
            await once()
        assert decoders == []
        assert "video-decoder" not in [each.name for each in threading.enumerate()]
        assert len(asyncio.all_tasks()) <= tasks

    run(test())
