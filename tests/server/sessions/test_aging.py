"""Time-outs: as pure arithmetic, and with real peers in time that passes when it is told to."""

from __future__ import annotations

import pytest

from server.aging import Ages, Verdict, judged
from server.rules import SessionRules
from streamgen.sources.geometry import Size

RULES = SessionRules(
    model="tiny", size=Size(width=64, height=64), sizes=(), longest_s=3600, look_s=3600
)
FINE = {"opened_s": 50.0, "silent_s": 1.0, "blind_s": 1.0, "lost_s": None}


@pytest.mark.parametrize(
    ("ages", "verdict"),
    [
        ({}, Verdict()),
        ({"silent_s": 7.0}, Verdict(is_paused=True)),
        ({"silent_s": 16.0}, Verdict(is_paused=True, is_lost=True)),
        ({"blind_s": 11.0}, Verdict(is_blind=True)),
        ({"blind_s": 31.0}, Verdict(end="no picture came for 30 seconds")),
        ({"lost_s": 19.0}, Verdict(is_paused=True)),
        ({"lost_s": 21.0}, Verdict(is_paused=True, end="the connection was lost")),
        ({"opened_s": 3601.0}, Verdict(end="sessions last 60 minutes at most")),
    ],
)
def test_what_becomes_of_a_session_depends_on_its_ages_alone(ages, verdict):
    assert judged(Ages(**{**FINE, **ages}), RULES) == verdict


def test_a_silent_peer_is_paused_then_closed_and_its_seat_freed_at_last(runner, house):
    async def play():
        async with house.open() as sessions:
            visitor = house.visitor()
            opened = await visitor.join(sessions)
            await visitor.sees(120)
            await house.later(7)
            accepted = (await house.desk.status(f"{opened.id}#1"))["accepted"]
            sent = visitor.camera.count
            await house.looked(lambda: visitor.camera.count > sent + 8)
            assert (await house.desk.status(f"{opened.id}#1"))["accepted"] <= accepted + 2
            await visitor.hears("status", state="resting")

            visitor.say({"type": "ping", "t": 1})
            await visitor.hears("pong")
            before = visitor.shown
            await house.looked(lambda: visitor.shown > before + 2)

            await house.later(16)
            await visitor.hears("closed")
            assert (await sessions.status(opened.id)).state == "lost"
            assert sessions.seats().free == 3
            await house.later(5)
            assert sessions.ids() == []
            await sessions.drain(5)
            assert sessions.seats().free == 4

    runner.run(play())


def test_without_pictures_the_page_is_told_once_and_then_the_session_ends(runner, house):
    async def play():
        async with house.open(pause_s=1e9, silent_s=1e9) as sessions:
            visitor = house.visitor()
            await visitor.join(sessions)
            await visitor.sees(120)
            visitor.camera.is_silent = True
            received = -1
            while received != visitor.camera.count:
                received = visitor.camera.count
                await house.later(0)
            for _ in range(3):
                await house.later(4)
            assert len(visitor.told("notice", key="no-media")) <= 1
            await visitor.hears("notice", key="no-media")
            await house.later(29)
            assert (await visitor.hears("closed"))["says"] == "no picture came for 30 seconds"
            assert sessions.ids() == []

    runner.run(play())


def test_a_lost_peer_may_come_back_to_its_seat(runner, house):
    async def play():
        async with house.open(seats=1) as sessions:
            first = house.visitor()
            opened = await first.join(sessions)
            await first.leave()
            await house.looked(lambda: sessions.states().get("lost") == 1)
            assert sessions.seats().free == 0
            second = house.visitor(33)
            again = await second.join(sessions, resume=opened.resume)
            assert again.id == opened.id
            await second.sees(33)
            await house.later(3)
            assert sessions.states().get("lost") is None

    runner.run(play())
