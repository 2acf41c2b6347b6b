"""Colours on their way in and out: exact, and said."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any  # Any: whatever a test's coroutine returns

import numpy as np
from av.video.reformatter import VideoReformatter

from server.pictures import Inlet, picture_of
from streamgen.frame import Frame, Pixels
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size

BARS = [
    (255, 255, 255),
    (255, 255, 0),
    (0, 255, 255),
    (0, 255, 0),
    (255, 0, 255),
    (255, 0, 0),
    (0, 0, 255),
    (0, 0, 0),
]


def bars(width: int = 256, height: int = 64) -> Pixels:
    return np.repeat(np.array(BARS, np.uint8), width // len(BARS), axis=0)[None].repeat(height, 0)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


async def settle(inlet: Inlet, frames: list[Frame], count: int) -> None:
    async with asyncio.timeout(10):
        while len(frames) + inlet.refused + inlet.replaced < count:
            await asyncio.sleep(0.005)


def test_colour_bars_come_back_within_two_levels() -> None:
    picture = picture_of(bars(), VideoReformatter())
    back = Converter(Size(256, 64), fit="crop").convert(picture, Stance())
    # At the edges of the bars chroma of half the resolution mixes them.
    inside = np.arange(256) % 32
    inside = (inside >= 6) & (inside < 26)
    assert np.abs(back.astype(int) - bars())[:, inside].max() <= 2


def test_picture_says_what_its_colours_mean() -> None:
    picture = picture_of(bars(), VideoReformatter())
    assert (picture.format.name, picture.colorspace, picture.color_range) == ("yuv420p", 6, 1)
    assert int(picture.to_ndarray()[0, 0]) == 235  # white of limited range


def test_odd_sides_are_made_even() -> None:
    picture = picture_of(bars()[:63, :255].copy(), VideoReformatter())
    assert (picture.width, picture.height) == (256, 64)


def test_untagged_high_definition_is_taken_for_bt601(pool: ThreadPoolExecutor) -> None:
    async def test() -> None:
        frames: list[Frame] = []
        inlet = Inlet(asyncio.get_running_loop(), pool, (256, 144), frames.append)
        picture = picture_of(bars(1280, 720), VideoReformatter())
        picture.colorspace, picture.color_range = 2, 0
        inlet.take(picture)
        await settle(inlet, frames, 1)
        middles = frames[0].pixels[72, 16::32].astype(int)
        assert np.abs(middles - np.array(BARS)).max() <= 2

    run(test())
