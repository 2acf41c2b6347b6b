"""Guests, publishers and recordings that end in every way, and what is left: nothing."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import pytest

from server.aiortc_tuning import Tuning
from server.aiortc_tuning.shared import SharedH264
from server.audience import Audience
from server.guests import Guests
from server.nouns import NegotiationTimedOut, Offer, UnknownStream
from server.recorder_files import RecordingLimits, RecordingPlace
from server.rules import SessionRules
from server.steering import Steering
from streamgen.sources.geometry import Size

SIZE = Size(width=64, height=64)


def test_a_guest_that_is_cut_short_leaves_nothing(runner, house):
    async def play():
        async with house.open() as sessions:
            await house.visitor().join(sessions, name="stage")
            offer = await house.onlooker().offer()
            for turns in (1, 2, 5, 10):
                attaching = asyncio.create_task(sessions.attach("stage", offer, may_control=True))
                for _ in range(turns):
                    await asyncio.sleep(0)
                attaching.cancel()
                await asyncio.gather(attaching, return_exceptions=True)
                await house.looked(lambda: sessions.streams()[0].viewers == 0)
            attaching = asyncio.create_task(sessions.attach("stage", offer, may_control=True))
            await asyncio.sleep(0)
            await sessions.end()
            await asyncio.gather(attaching, return_exceptions=True)
            left = {each.get_name() for each in asyncio.all_tasks()}
            assert not left & {"deal", "answer", "close-guest", "audience", "drain"}

    runner.run(play())


def test_publishers_viewers_and_recordings_leave_nothing_behind(runner, house, tmp_path):
    def counted():
        gc.collect()
        names = [each.name.split("_")[0] for each in threading.enumerate()]
        return {
            "threads": sum(name not in ("desk", "encode", "pictures") for name in names),
            "tasks": len(asyncio.all_tasks()),
            "fds": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        }

    async def once(sessions, is_closed):
        publisher, viewer = house.publisher(), house.onlooker()
        steering = house.onlooker(has_channels=True)
        opened = await publisher.publish(sessions, "stage")
        await viewer.attach(sessions, "stage")
        await steering.attach(sessions, "stage", may_control=True)
        await sessions.record("stage")
        await viewer.sees(120)
        await house.looked(lambda: sessions.recording("stage").file is not None)
        if is_closed:
            await sessions.close(opened.id)
        for each in (publisher, viewer, steering):
            await each.leave()
        house.visitors.clear()
        while sessions.ids():
            await house.later(25)
        await sessions.drain(0)
        sessions.is_draining = False

    async def play():
        place = RecordingPlace(folder=tmp_path, limits=RecordingLimits(free_bytes=0))
        async with house.open(recordings=place) as sessions:
            for is_closed in (True, False):
                await once(sessions, is_closed)
            before = counted()
            for is_closed in (True, False, True, False):
                await once(sessions, is_closed)
            await house.looked(lambda: all(now <= before[key] for key, now in counted().items()))

    runner.run(play())


def test_a_guest_whose_negotiation_takes_too_long_is_let_go(runner, house):
    async def play():
        audience = Audience(house.pictures, encoder=lambda: SharedH264(Tuning(), bitrate=100_000))
        steering = Steering(None, tell=lambda message, besides: None)
        guests = Guests(
            audience,
            steering,
            SessionRules(model="tiny", size=SIZE, sizes=(SIZE,), negotiation_s=0.0),
            output=lambda mode, guest: None,
            clock=house.clock,
        )
        with pytest.raises(NegotiationTimedOut, match="no connection in 0 s"):
            await guests.let_in(await house.onlooker().offer(), may_control=True)
        assert len(guests) == 0 and steering.hands.take().slot == 0
        await guests.end("the test is over")
        with pytest.raises(UnknownStream, match="has ended"):
            await guests.let_in(Offer(sdp=""), may_control=True)
        await audience.close()
        for each in house.visitors:
            await each.leave()

    runner.run(play())
