"""Peers that flood, babble and vanish: bounded work, a sentence, and no trace with the others."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from aiortc.exceptions import InvalidStateError

from server.nouns import NegotiationTimedOut, Offer, OfferRefused, Wish

#: Their threads are made one by one, and stay.
POOLS = ("desk", "encode", "pictures")
FDS, MAPS = Path("/proc/self/fd"), Path("/proc/self/maps")


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("nonsense", "no JSON that can be used"),
        ('{"type":"ping","t":NaN}', "NaN is not a number"),
        ('{"type":"patch","id":3,"changes":{"strength":1e999}}', "too large a number"),
        ('{"type":"patch","id":3,"changes":{},"extra":1}', "extra: this field is not known"),
        ('{"type":"patch","id":3,"changes":{"nothing":1}}', "control 'nothing': choose"),
        ('{"type":"shutdown"}', "type: choose patch, output, size, ping, bye"),
        ("[" * 9000, "no JSON that can be used"),
        ('{"type":"ping","t":' + "1" * 20_000 + "}", "the message is too large"),
        (b"\x00\x01", "send JSON as text"),
    ],
)
def test_a_message_that_cannot_be_used_is_answered_with_a_sentence(
    runner, house, message, sentence
):
    async def play():
        async with house.open() as sessions:
            visitor = house.visitor()
            await visitor.join(sessions)
            visitor.say(message)
            refused = await visitor.hears("refused")
            assert sentence in refused["says"]
            visitor.say({"type": "ping", "t": 5.5})
            assert (await visitor.hears("pong"))["t"] == 5.5

    runner.run(play())


@pytest.mark.parametrize(
    ("messages", "label"),
    [(['{"type":"ping","t":1}'] * 300, "control"), (["x"] * 20, "control"), (["x"] * 20, "live")],
)
def test_a_peer_that_does_not_stop_is_closed_and_the_others_are_not(runner, house, messages, label):
    async def play():
        async with house.open() as sessions:
            bad, good = house.visitor(), house.visitor(70)
            await good.join(sessions)
            await bad.join(sessions)
            with suppress(InvalidStateError):  # it is closed before it has said everything
                for message in messages:
                    bad.say(message, label)
            closed = await bad.hears("closed")
            assert closed["says"] == "too many messages that cannot be used"
            assert sessions.ids() == [good.opened.id]
            before = good.shown
            await house.looked(lambda: good.shown > before + 5)
            await good.sees(70)

    runner.run(play())


def test_only_the_two_channels_are_kept_and_live_takes_patches_alone(runner, house):
    async def play():
        async with house.open() as sessions:
            visitor = house.visitor()
            other = visitor.pc.createDataChannel("gossip")
            again = visitor.pc.createDataChannel("control")
            await visitor.join(sessions)
            await house.looked(lambda: (other.readyState, again.readyState) == ("closed",) * 2)
            visitor.say({"type": "ping", "t": 1}, "live")
            assert "takes patches alone" in (await visitor.hears("refused"))["says"]

    runner.run(play())


def test_a_picture_that_is_far_too_large_ends_its_session_alone(runner, house):
    async def play():
        async with house.open(max_pixels=64 * 64) as sessions:
            good, bad = house.visitor(70), house.visitor(size=(80, 80))
            await good.join(sessions)
            await bad.join(sessions)
            assert "the video is 80x80" in (await bad.hears("closed"))["says"]
            assert sessions.ids() == [good.opened.id]

    runner.run(play())


def test_an_offer_without_video_or_with_unknown_codecs_is_refused(runner, house):
    async def play():
        async with house.open(codec="h264") as sessions:
            visitor = house.visitor()
            offer = await visitor.offer()
            head = offer.sdp[: offer.sdp.index("m=video")]
            data = offer.sdp[offer.sdp.index("m=application") :]
            group = "a=group:BUNDLE "
            lines = [f"{group}1" if each.startswith(group) else each for each in head.split("\r\n")]
            for text in ("\r\n".join(lines) + data, offer.sdp.replace("H264", "H999")):
                with pytest.raises(OfferRefused, match="the offer"):
                    await sessions.open(Offer(sdp=text), Wish())
            assert sessions.seats().free == 4

    runner.run(play())


def test_a_negotiation_that_takes_too_long_gives_its_seat_back(runner, house):
    async def play():
        async with house.open(negotiation_s=0.0, seats=1) as sessions:
            with pytest.raises(NegotiationTimedOut, match="no connection in 0 s"):
                await sessions.open(await house.visitor().offer(), Wish())
            assert sessions.seats().free == 1 and sessions.ids() == []

    runner.run(play())


def test_an_opening_that_is_cancelled_leaves_nothing(runner, house):
    async def play():
        async with house.open(seats=1) as sessions:
            for turns in (1, 2, 5, 10, 20):
                offer = await house.visitor().offer()
                opening = asyncio.create_task(sessions.open(offer, Wish()))
                for _ in range(turns):
                    await asyncio.sleep(0)
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
                await sessions.drain(0)
                sessions.is_draining = False
                assert sessions.seats().free == 1 and sessions.ids() == []
            assert sum(group["streams"] for group in await house.desk.groups()) == 0

    runner.run(play())


def counted():
    gc.collect()
    return {
        "threads": sum(each.name.split("_")[0] not in POOLS for each in threading.enumerate()),
        "tasks": len(asyncio.all_tasks()),
        "fds": len(os.listdir(FDS)) if FDS.is_dir() else 0,
        # What this process has mapped: others may use shared memory, too.
        "memory": MAPS.read_text().count("/psm_") if MAPS.exists() else 0,
    }


def test_ten_visits_of_all_kinds_leave_nothing_behind(runner, house, caplog):
    caplog.set_level(logging.WARNING)

    async def visit(sessions, kind):
        visitor = house.visitor()
        opened = await visitor.join(sessions)
        await until_shown(visitor)
        if kind == "closed":
            await sessions.close(opened.id)
        elif kind == "bye":
            visitor.say({"type": "bye"})
            await visitor.hears("closed")
        elif kind == "left":
            await visitor.pc.close()
        await visitor.leave()
        house.visitors.remove(visitor)
        while opened.id in sessions.ids():
            await house.later(5)
        await sessions.drain(0)
        sessions.is_draining = False

    async def until_shown(visitor):
        await house.looked(lambda: visitor.shown > 1)

    async def play():
        async with house.open() as sessions:
            for kind in ("closed", "bye", "left"):
                await visit(sessions, kind)
            await asyncio.sleep(0.1)
            before = counted()
            for count in range(10):
                await visit(sessions, ("closed", "bye", "left")[count % 3])
            await asyncio.sleep(0.1)
            after = counted()
            assert after == {key: min(before[key], after[key]) for key in before}
            assert sum(group["streams"] for group in await house.desk.groups()) == 0

    runner.run(play())
    assert [record.getMessage() for record in caplog.records] == []
