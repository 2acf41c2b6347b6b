"""An audience of real peer connections in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any  # Any: whatever a test's coroutine returns

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.mediastreams import MediaStreamTrack
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from server.aiortc_tuning import SharedH264, Tuning, install, on_losses, uninstall
from server.audience import Audience, PacketTrack
from server.barcode import read, write
from streamgen.frame import Frame, Stamp
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size


@pytest.fixture(autouse=True)
def tuned() -> Iterator[None]:
    install(Tuning())
    yield
    uninstall()


def run(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await test

    asyncio.run(limited())


def numbered(number: int) -> Frame:
    pixels = np.full((256, 256, 3), 60 + number, np.uint8)
    write(pixels, number)
    stamp = Stamp(index=number, pts=0, time_base=Fraction(1, 90_000), ingest_ns=0)
    return Frame(pixels=pixels, stamp=stamp)


class Spy:
    """A member that only notes which packets were key frames."""

    def __init__(self) -> None:
        self.keys: list[bool] = []
        self._came = asyncio.Event()

    def take(self, packet: Packet[VideoStream]) -> None:
        self.keys.append(packet.is_keyframe)
        self._came.set()

    async def has_key_after(self, count: int) -> None:
        while not any(self.keys[count:]):
            self._came.clear()
            await self._came.wait()


@dataclass
class Viewer:
    sender: RTCRtpSender
    receiver: RTCRtpReceiver
    track: MediaStreamTrack

    async def number(self) -> int | None:
        """Return the number on the next picture."""
        picture = await self.track.recv()
        assert isinstance(picture, VideoFrame)
        return read(Converter(Size(256, 256), fit="crop").convert(picture, Stance()))

    async def lose(self) -> None:
        """Tell the sender that a picture was lost."""
        (source,) = self.receiver.getSynchronizationSources()
        await self.receiver._send_rtcp_pli(source.source)


def connection(peer: RTCPeerConnection) -> asyncio.Future[None]:
    """Return what is done once the peer is connected."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def see() -> None:
        if peer.connectionState == "connected" and not done.done():
            done.set_result(None)

    peer.on("connectionstatechange", see)
    return done


@asynccontextmanager
async def watching(audience: Audience) -> AsyncIterator[Viewer]:
    """Connect a viewer, whose side takes H.264 only."""
    browser = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    server = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    packets = PacketTrack(ask_for_key=audience.ask_for_key)
    transceiver = browser.addTransceiver("video", "recvonly")
    known = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([each for each in known if each.name in ("H264", "rtx")])
    connections = [connection(peer) for peer in (browser, server)]
    await browser.setLocalDescription(await browser.createOffer())
    await server.setRemoteDescription(browser.localDescription)
    sender = server.addTrack(packets)
    on_losses(sender, audience.ask_for_key)
    await server.setLocalDescription(await server.createAnswer())
    await browser.setRemoteDescription(server.localDescription)
    try:
        await asyncio.gather(*connections)  # what is sent before a side has its keys is lost
        audience.join(packets)
        yield Viewer(sender, transceiver.receiver, transceiver.receiver.track)
    finally:
        audience.leave(packets)
        await asyncio.gather(browser.close(), server.close())


def test_all_viewers_see_what_one_encoder_made(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        encoders: list[SharedH264] = []

        def encoder() -> SharedH264:
            encoders.append(SharedH264(Tuning(), bitrate=1_000_000))
            return encoders[-1]

        audience = Audience(pool, encoder=encoder)
        async with AsyncExitStack() as stack:
            viewers = [await stack.enter_async_context(watching(audience)) for _ in range(3)]
            for number in range(5):
                audience.out.show(numbered(number))
                for viewer in viewers:
                    while await viewer.number() != number:
                        pass  # pictures are repeated for those who come
        await audience.close()
        assert (len(encoders), encoders[0].builds) == (1, 1)
        assert encoders[0].encoded == audience.encoded

    run(test())


def test_viewer_who_comes_late_sees_the_picture_though_nothing_moves(
    pool: ThreadPoolExecutor,
) -> None:
    async def test() -> None:
        audience = Audience(pool, encoder=lambda: SharedH264(Tuning(), bitrate=1_000_000))
        async with watching(audience) as early:
            audience.out.show(numbered(7))
            assert await early.number() == 7
            async with watching(audience) as late:
                assert await late.number() == 7
            assert audience.count == 1
        await audience.close()
        assert audience.count == 0

    run(test())


def test_loss_that_a_viewer_tells_of_leads_to_a_key_frame(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        audience, spy = (
            Audience(pool, encoder=lambda: SharedH264(Tuning(), bitrate=1_000_000)),
            Spy(),
        )
        audience.join(spy)
        async with watching(audience) as viewer:
            audience.out.show(numbered(1))
            assert await viewer.number() == 1
            count = len(spy.keys)
            await viewer.lose()
            await spy.has_key_after(count)
        await audience.close()

    run(test())
