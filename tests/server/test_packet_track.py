"""What waits for one viewer's sender."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from fractions import Fraction
from typing import Any  # Any: whatever a test's coroutine returns

import pytest
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from server.aiortc_tuning import SharedH264, Tuning
from server.audience import MOST_WAITING, PacketTrack


def run(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test

    asyncio.run(limited())


def packets(count: int, *, keys: tuple[int, ...] = (0,)) -> list[Packet[VideoStream]]:
    encoder, made = SharedH264(Tuning(), bitrate=500_000), []
    for number in range(count):
        picture = VideoFrame(64, 64, "yuv420p")
        picture.pts, picture.time_base = 3000 * number, Fraction(1, 90_000)
        made += encoder.encode(picture, is_key=number in keys)
    return made


def test_track_gives_its_packets_in_order_and_ends() -> None:
    async def test() -> None:
        track = PacketTrack(ask_for_key=lambda: None)
        made = packets(3)
        for packet in made:
            track.take(packet)
        assert [await track.recv() for _ in made] == made
        waiting = asyncio.ensure_future(track.recv())
        await asyncio.sleep(0)
        track.stop()
        track.take(made[0])
        with pytest.raises(MediaStreamError):
            await waiting
        with pytest.raises(MediaStreamError):
            await track.recv()

    run(test())


def test_slow_sender_forgets_all_and_goes_on_with_a_key_frame() -> None:
    async def test() -> None:
        asked: list[str] = []
        track = PacketTrack(ask_for_key=lambda: asked.append("key"))
        made = packets(MOST_WAITING + 5, keys=(0, MOST_WAITING + 3))
        track.take(made[0])
        await track.recv()
        for packet in made[1 : MOST_WAITING + 1]:
            track.take(packet)
        assert asked == []
        for packet in made[MOST_WAITING + 1 :]:
            track.take(packet)
        assert [await track.recv(), await track.recv()] == made[-2:]
        assert (asked, track.forgotten) == (["key"], MOST_WAITING + 1)

    run(test())


def test_track_that_nobody_reads_yet_asks_for_nothing_until_it_is_read() -> None:
    async def test() -> None:
        asked: list[str] = []
        track = PacketTrack(ask_for_key=lambda: asked.append("key"))
        made = packets(3 * MOST_WAITING)
        for packet in made:
            track.take(packet)
        assert asked == []
        waiting = asyncio.ensure_future(track.recv())
        await asyncio.sleep(0)
        assert asked == ["key"]
        track.take(made[1])
        track.take(made[0])
        assert await waiting is made[0]

    run(test())
