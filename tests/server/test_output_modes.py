"""What a track shows in each of its modes."""

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

from server.tracks import OutTrack
from streamgen.errors import ConfigError
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


def test_each_mode_shows_its_own_picture_while_the_model_hangs(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool, repeat_after_s=0.01)
        track.show(frame(200))
        seen = [grey(await track.recv())]
        track.set_mode("bypass")
        for level in (50, 80):
            track.show_input(frame(level))
            seen.append(grey(await track.recv()))
        track.set_mode("black")
        seen.append(grey(await track.recv()))
        track.show_input(frame(90))
        seen.append(grey(await track.recv()))  # the card again
        track.set_mode("live")
        seen.append(grey(await track.recv()))
        assert seen == [200, 50, 80, 0, 0, 200]
        assert track.mode == "live"

    run(test())


def test_frozen_picture_stays_whatever_is_offered(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool, repeat_after_s=0.01)
        track.show(frame(200))
        await track.recv()
        track.set_mode("freeze")
        track.show(frame(50))
        track.show_input(frame(80))
        assert [grey(await track.recv()) for _ in range(3)] == [200] * 3
        track.set_mode("live")
        assert grey(await track.recv()) == 50

    run(test())


def test_black_comes_with_the_first_frame_when_none_was_there(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        track = OutTrack(pool)
        track.set_mode("black")
        waiting = asyncio.ensure_future(track.recv())
        await asyncio.sleep(0)
        track.show_input(frame(200))
        picture = await waiting
        assert (grey(picture), picture.width) == (0, 64)

    run(test())


def test_picture_being_converted_is_not_shown_after_a_panic() -> None:
    async def test() -> None:
        with ThreadPoolExecutor(1) as busy:
            go = Event()
            busy.submit(go.wait, 10)
            track = OutTrack(busy)
            track.show(frame(200))
            waiting = asyncio.ensure_future(track.recv())
            await asyncio.sleep(0)
            track.set_mode("black")
            go.set()
            assert grey(await waiting) == 0

    run(test())


def test_unknown_mode_is_refused_in_words(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        with pytest.raises(ConfigError, match="output 'white': choose live, bypass, freeze, black"):
            OutTrack(pool).set_mode("white")

    run(test())
