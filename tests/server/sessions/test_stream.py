"""A session's stream while other engines take its place: every frame gets its picture, in order."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest

from server.desk import Snapshot
from server.nouns import EngineWish
from server.rules import SessionRules
from server.stream import SessionStream
from streamgen.errors import ConfigError
from streamgen.frame import Frame, Stamp
from streamgen.sources.geometry import Size

SMALL, LARGE = Size(width=64, height=64), Size(width=96, height=64)
RULES = SessionRules(model="tiny", size=SMALL, sizes=(SMALL, LARGE))
TURN_S = 0.01
WISHES = [
    EngineWish(size=LARGE),
    EngineWish(size=SMALL),
    EngineWish(backend="torch"),
    EngineWish(precision="bf16"),
    EngineWish(size=LARGE, backend="openvino", precision="fp32"),
]


class Camera:
    """Feeds a stream in the size that it wants, and notes what is shown."""

    def __init__(self, desk):
        self.desk, self.shown, self.sizes = desk, [], []
        self.stream = SessionStream(desk, RULES, "one", show=self.shown.append)

    async def put(self):
        """Put a frame of the size that is wanted."""
        index, size = len(self.sizes), self.stream.feeding
        pixels = np.full((size.height, size.width, 3), index % 251, np.uint8)
        stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=index)
        self.sizes.append((size.width, size.height))
        await asyncio.to_thread(self.stream.put, Frame(pixels=pixels, stamp=stamp))

    async def feed(self):
        """Put a frame and wait for its picture; of more than one step, that is when it settles."""
        await self.put()
        await self.seen()

    async def seen(self):
        async with asyncio.timeout(30):
            while len(self.shown) < len(self.sizes):
                await asyncio.sleep(TURN_S)

    async def look(self):
        return self.stream.look(await self.desk.snapshot(self.stream.names))


@pytest.mark.parametrize("steps", [1, 3])
def test_every_frame_gets_its_picture_in_its_own_size_through_all_changes(runner, desk, steps):
    async def play():
        camera = Camera(desk)
        stream = camera.stream
        await stream.open(SMALL, {"steps": steps})
        try:
            for wish in WISHES:
                await stream.change(wish)
                wanted = stream.wanted
                while stream.is_changing:
                    await camera.put()
                    assert await camera.look() is None  # with this frame under way
                    await camera.seen()
                await camera.feed()
                assert stream.wanted == wanted and len(stream.names) == 1
        finally:
            await stream.close()
        assert [frame.stamp.index for frame in camera.shown] == list(range(len(camera.sizes)))
        assert [(frame.width, frame.height) for frame in camera.shown] == camera.sizes

    runner.run(play())


def test_a_wish_that_is_taken_back_leaves_everything_as_it_was(runner, desk):
    async def play():
        camera = Camera(desk)
        stream = camera.stream
        await stream.open(SMALL, {})
        try:
            await camera.feed()
            await stream.change(EngineWish(precision="bf16"))
            assert stream.is_changing and stream.wanted.precision == "bf16"
            await stream.change(EngineWish(precision="auto"))
            assert not stream.is_changing
            await camera.feed()
            for wish, says in (
                (EngineWish(backend="tensorflow"), "backend 'tensorflow': choose auto, openvino"),
                (EngineWish(precision="fp12"), "precision 'fp12': choose auto, fp32"),
                (EngineWish(size=Size(8, 8)), "size 8x8: choose 64x64, 96x64"),
            ):
                with pytest.raises(ConfigError, match=says):
                    await stream.change(wish)
            assert not stream.is_changing
            await camera.feed()
        finally:
            await stream.close()

    runner.run(play())


class WrittenDesk:
    """A desk that says what a test has written down."""

    def __init__(self):
        self.said = []

    def subscribe(self, name, show):
        self.said.append(("subscribe", name))

    async def open(self, name, config, controls):
        self.said.append(("open", name))

    async def status(self, name):
        return {"controls": {}}

    async def finish(self, name, *, is_on=True):
        self.said.append(("finish" if is_on else "go on", name))

    async def close(self, name):
        self.said.append(("close", name))


def snapshot(stream, upcoming):
    config = asdict(stream.wanted)
    streams = {name: {"state": "live"} for name in stream.names}
    return Snapshot(groups=[{"config": config, "upcoming": upcoming}], streams=streams)


UPCOMING = {
    "backend": "inductor",
    "precision": "bf16",
    "stage": "building",
    "message": "unet",
    "failure": None,
}


def test_what_draws_goes_on_until_the_wanted_engines_are_built_and_not_their_stand_in(runner):
    async def play():
        desk = WrittenDesk()
        stream = SessionStream(desk, RULES, "one", show=lambda frame: None)
        await stream.open(SMALL, {})
        await stream.change(EngineWish(backend="inductor"))
        assert stream.look(snapshot(stream, UPCOMING)) is None
        told = stream.facts(snapshot(stream, UPCOMING)).upcoming
        assert (told.backend, told.stage, told.message) == ("inductor", "building", "unet")
        await asyncio.sleep(0)
        assert ("finish", "one#1") not in desk.said
        assert stream.look(snapshot(stream, None)) is None
        await asyncio.sleep(0)
        assert ("finish", "one#1") in desk.said
        await stream.change(EngineWish(backend="auto"))
        await asyncio.sleep(0)
        assert desk.said[-2:] == [("close", "one#2"), ("go on", "one#1")]
        await stream.close()

    runner.run(play())


def test_engines_that_cannot_be_built_are_told_of_and_the_old_ones_stay(runner):
    async def play():
        desk = WrittenDesk()
        stream = SessionStream(desk, RULES, "one", show=lambda frame: None)
        await stream.open(SMALL, {})
        await stream.change(EngineWish(size=LARGE, precision="bf16"))
        failed = {**UPCOMING, "stage": "failed", "failure": "unet: no memory"}
        says = stream.look(snapshot(stream, failed))
        assert says == "size 96x64, precision bf16: unet: no memory"
        assert stream.names == ["one#1"] and not stream.is_changing
        await stream.close()

    runner.run(play())
