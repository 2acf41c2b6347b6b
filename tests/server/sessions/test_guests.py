"""Guests of a stream: what they see, what they say and who hears it, and that all is released."""

from __future__ import annotations

import pytest

from server.nouns import (
    Offer,
    OfferRefused,
    QueueFull,
    SessionPatch,
    UnknownSession,
    UnknownStream,
)


def test_viewers_see_the_stream_of_a_name_without_channels(runner, house):
    async def play():
        async with house.open() as sessions:
            owner, one, two = house.visitor(60), house.onlooker(), house.onlooker(has_channels=True)
            await owner.join(sessions, name="stage")
            one.pc.addTransceiver("audio", direction="recvonly")  # as players offer it
            attached = await one.attach(sessions, "stage")
            assert "a=inactive" in attached.sdp
            assert not attached.may_control and attached.name == "stage"
            assert "a=sendonly" in attached.sdp and "H264" in attached.sdp
            assert "VP8" not in attached.sdp and attached.stream.width == 64
            await two.attach(sessions, "stage")
            await one.sees(60)
            await two.sees(60)
            await until_closed(house, two)
            owner.camera.value = 180
            await one.sees(180)
            await house.later(0)
            assert (await owner.hears("status", viewers=2))["name"] == "stage"
            await sessions.detach("stage", attached.id)
            assert (await sessions.stream_status("stage")).viewers == 1
            with pytest.raises(UnknownSession, match="this guest is not there"):
                await sessions.detach("stage", attached.id)
            before = two.shown
            await house.looked(lambda: two.shown > before + 2)

    runner.run(play())


async def until_closed(house, onlooker):
    """Wait until the channels are closed that a viewer may not have."""
    channels = onlooker.channels.values()
    await house.looked(lambda: all(each.readyState == "closed" for each in channels))


def test_a_late_viewer_of_a_stream_that_rests_sees_the_last_picture(runner, house):
    async def play():
        async with house.open(silent_s=1e9, idle_s=1e9) as sessions:
            owner, viewer = house.visitor(90), house.onlooker()
            await owner.join(sessions, name="stage")
            await owner.sees(90)
            owner.camera.is_silent = True
            await viewer.attach(sessions, "stage")
            await viewer.sees(90)

    runner.run(play())


def test_a_guest_who_may_control_steers_and_everybody_hears_of_it(runner, house):
    async def play():
        async with house.open() as sessions:
            owner = house.visitor(60)
            guests = [house.onlooker(has_channels=True) for _ in range(2)]
            await owner.join(sessions, name="stage")
            for guest in guests:
                assert (await guest.attach(sessions, "stage", may_control=True)).may_control
            one, two = guests
            one.say({"type": "patch", "id": 4, "changes": {"steps": 3}, "sequence": 1})
            assert (await one.hears("patched", id=4))["controls"]["steps"] == 3
            for other in (owner, two):
                assert (await other.hears("controls", revision=1))["controls"]["steps"] == 3
            assert not one.told("controls")
            two.say({"type": "patch", "id": 5, "changes": {"seed": 3}, "sequence": 1})
            assert not (await two.hears("patched", id=5))["stale"]
            one.say({"type": "patch", "id": 6, "changes": {"strength": 7}})
            assert "strength 7" in (await one.hears("refused", id=6))["says"]

            two.say({"type": "output", "id": 7, "mode": "black"})
            await two.hears("output", id=7, mode="black")
            for other in (owner, one):
                await other.hears("output", id=0, mode="black")
            for each in (owner, one, two):
                await each.sees(0)
            await sessions.patch_stream("stage", SessionPatch(output="live", controls={"seed": 8}))
            for each in (owner, one, two):
                await each.hears("controls", revision=3)
                await each.sees(60)
            one.say({"type": "ping", "t": 2})
            await one.hears("pong", t=2)
            one.say({"type": "bye"})
            await one.hears("closed")
            await house.later(0)
            await two.hears("status", viewers=1)

    runner.run(play())


def test_what_sliders_of_a_guest_change_is_told_to_the_others_with_the_next_look(runner, house):
    async def play():
        async with house.open() as sessions:
            owner, guest = house.visitor(), house.onlooker(has_channels=True)
            opened = await owner.join(sessions, name="stage")
            await guest.attach(sessions, "stage", may_control=True)
            for number in range(5):
                changes = {"strength": number / 10}
                guest.say({"type": "patch", "changes": changes, "sequence": number}, "live")
            await house.looked(
                lambda: any(each["controls"]["strength"] == 0.4 for each in owner.told("controls"))
            )
            assert not guest.told("controls")
            assert (await sessions.status(opened.id)).controls["strength"] == 0.4

    runner.run(play())


def test_guests_hear_why_a_stream_ends_and_stay_while_its_owner_is_lost(runner, house):
    async def play():
        async with house.open() as sessions:
            owner, guest = house.visitor(), house.onlooker(has_channels=True)
            opened = await owner.join(sessions, name="stage")
            await guest.attach(sessions, "stage", may_control=True)
            await guest.sees(120)
            await owner.leave()
            await house.looked(lambda: guest.told("status", state="lost"))
            assert sessions.streams()[0].viewers == 1
            back = house.visitor(33)
            await back.join(sessions, resume=opened.resume)
            await guest.sees(33)
            await sessions.close(opened.id, "ended by its page")
            assert (await guest.hears("closed"))["says"] == "ended by its page"

    runner.run(play())


def test_a_guest_is_let_go_when_its_connection_ends_or_never_comes(runner, house):
    async def play():
        async with house.open(guests=2, silent_s=1e9, idle_s=1e9) as sessions:
            owner, left, never = house.visitor(), house.onlooker(), house.onlooker()
            await owner.join(sessions, name="stage")
            await left.attach(sessions, "stage")
            await sessions.attach("stage", await never.offer(), may_control=False)
            with pytest.raises(QueueFull, match="this stream has its 2 guests"):
                await sessions.attach("stage", Offer(sdp=""), may_control=False)
            await left.sees(120)
            await left.leave()
            await house.looked(lambda: sessions.streams()[0].viewers == 1)
            await house.later(19)
            assert sessions.streams()[0].viewers == 1
            await house.later(2)
            assert sessions.streams()[0].viewers == 0

    runner.run(play())


def test_a_guest_is_refused_with_a_sentence_and_leaves_nothing(runner, house):
    async def play():
        async with house.open() as sessions:
            await house.visitor().join(sessions, name="stage")
            with pytest.raises(UnknownStream, match="stream 'nowhere' is not there"):
                await sessions.attach("nowhere", Offer(sdp=""), may_control=False)
            offer = await house.onlooker().offer()
            other = Offer(sdp=offer.sdp.replace("H264/90000", "H265/90000"))
            with pytest.raises(OfferRefused, match=r"the offer has no H\.264"):
                await sessions.attach("stage", other, may_control=False)
            sending = await house.onlooker(direction="sendonly").offer()
            with pytest.raises(OfferRefused, match="the offer receives no video"):
                await sessions.attach("stage", sending, may_control=False)
            assert sessions.streams()[0].viewers == 0

    runner.run(play())
