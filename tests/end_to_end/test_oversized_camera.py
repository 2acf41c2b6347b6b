"""A camera that nobody can draw: its peer is told to go, and nobody else notices."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benchmarks.webrtc.peer import Client, Sending
from benchmarks.webrtc.pictures import pictures
from streamgen.sources import Size

pytestmark = pytest.mark.slow


def test_a_4k_camera_is_sent_away_in_words_and_others_stay(passthrough: Any) -> None:
    async def test() -> None:
        small = Client(passthrough.url, Sending(pictures(Size(256, 256), count=4), fps=10))
        large = Client(passthrough.url, Sending(pictures(Size(3840, 2160), count=1), fps=10))
        await small.connect()
        await small.first()
        await large.connect()
        async with asyncio.timeout(120):
            while not any(said["type"] == "closed" for said in large.said):
                await asyncio.sleep(0.1)
            before = len(small.shown)
            while len(small.shown) < before + 10:
                await asyncio.sleep(0.1)
        says = next(said["says"] for said in large.said if said["type"] == "closed")
        assert "3840x2160" in says
        assert large.shown == []
        await asyncio.gather(small.close(), large.abandon())

    asyncio.run(test())
