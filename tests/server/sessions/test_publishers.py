"""Publishers: pictures in and nothing back, under a name that they may come back to."""

from __future__ import annotations

import pytest

from server.nouns import (
    BadFragment,
    BadName,
    NameTaken,
    Offer,
    OfferRefused,
    SessionPatch,
    UnknownSession,
    UnknownStream,
    Wish,
)

INK = [{"text": "ink", "weight": 1.0}]


def video_of(sdp):
    return sdp[sdp.index("m=video") :]


def test_a_publisher_is_answered_recvonly_and_what_it_sends_is_drawn(runner, house):
    async def play():
        async with house.open() as sessions:
            publisher, viewer = house.publisher(70), house.onlooker()
            opened = await publisher.publish(sessions, "Stage")
            assert opened.name == "stage" and "a=recvonly" in video_of(opened.sdp)
            sound = opened.sdp[: opened.sdp.index("m=video")]
            assert "m=audio" in sound and "a=recvonly" in sound
            await viewer.attach(sessions, "STAGE")
            await viewer.sees(70)
            await house.later(0)
            for _ in range(5):  # it says nothing, and is heard all the same
                await house.later(5)
                before = viewer.shown
                await house.looked(lambda: viewer.shown > before)  # noqa: B023
            status = await sessions.stream_status("stage")
            assert (status.id, status.name, status.viewers) == (opened.id, "stage", 1)
            assert status.state == "running" and status.says == ""
            [row] = sessions.streams()
            assert (row.name, row.viewers, row.is_recording) == ("stage", 1, False)
            await sessions.close(opened.id)
            with pytest.raises(UnknownStream, match="stream 'stage' is not there"):
                await sessions.stream_status("stage")

    runner.run(play())


def test_a_name_is_taken_while_somebody_sends_under_it(runner, house):
    async def play():
        async with house.open() as sessions:
            publisher, other = house.publisher(), house.publisher()
            await publisher.publish(sessions, "stage")
            await house.looked(lambda: publisher.camera.count > 3)
            with pytest.raises(NameTaken, match="stream 'stage' is taken: choose another name"):
                await other.publish(sessions, "stage")
            with pytest.raises(NameTaken):
                await house.visitor().join(sessions, name="Stage")
            assert sessions.seats().free == 3

    runner.run(play())


def test_a_publisher_that_comes_back_enters_the_same_session(runner, house):
    async def play():
        async with house.open(pause_s=1e9, silent_s=1e9) as sessions:
            first, second, viewer = house.publisher(50), house.publisher(150), house.onlooker()
            opened = await first.publish(sessions, "stage", controls={"steps": 2})
            await viewer.attach(sessions, "stage")
            await viewer.sees(50)
            first.camera.is_silent = True
            count = -1
            while count != first.camera.count:
                count = first.camera.count
                await house.later(0)
            await house.later(0.5)
            await house.later(2.5)
            again = await second.publish(sessions, "stage")
            assert again.id == opened.id and again.controls["steps"] == 2
            await viewer.sees(150)

    runner.run(play())


def test_a_lost_publisher_comes_back_and_an_ended_one_finds_its_controls(runner, house):
    async def play():
        async with house.open(seats=1) as sessions:
            first = house.publisher()
            opened = await first.publish(sessions, "stage", controls={"prompts": "ink"})
            await house.looked(lambda: sessions.states().get("running") == 1)
            await first.leave()
            await house.looked(lambda: sessions.states().get("lost") == 1)
            again = await house.publisher().publish(sessions, "stage")
            assert again.id == opened.id
            with pytest.raises(UnknownSession):  # what the first one still says, comes too late
                await sessions.unpublish("stage", opened.peer)
            await sessions.patch_stream("stage", SessionPatch(controls={"seed": 5}))
            await sessions.unpublish("stage", again.peer)
            third = await house.publisher().publish(sessions, "stage", controls={"steps": 3})
            assert third.id != opened.id and third.controls["prompts"] == INK
            assert (third.controls["seed"], third.controls["steps"]) == (5, 3)
            await sessions.close(third.id)
            house.clock.now += 601
            fourth = await house.publisher().publish(sessions, "stage")
            assert fourth.controls["prompts"] != INK

    runner.run(play())


def test_a_browser_may_name_its_stream_and_a_nameless_one_has_its_id(runner, house):
    async def play():
        async with house.open() as sessions:
            named = await house.visitor().join(sessions, name="Me")
            plain = await house.visitor().join(sessions)
            assert (named.name, plain.name) == ("me", plain.id)
            assert [row.name for row in sessions.streams()] == ["me", plain.id]
            assert (await sessions.stream_status(plain.id)).id == plain.id
            with pytest.raises(BadName, match="stream name 'a b': choose 1 to 40"):
                await sessions.open(Offer(sdp=""), Wish(name="a b"))
            with pytest.raises(BadName, match="a publisher needs a name"):
                await sessions.publish(Offer(sdp=""), Wish())
            with pytest.raises(NameTaken):  # a browser's own is never a publisher's
                await house.publisher().publish(sessions, "me")

    runner.run(play())


def test_a_publisher_without_a_key_frame_is_told_what_to_set(runner, house):
    async def play():
        async with house.open() as sessions:
            publisher = house.publisher()
            publisher.camera.is_silent = True
            await publisher.publish(sessions, "stage")
            await house.looked(lambda: publisher.pc.connectionState == "connected")
            assert (await sessions.stream_status("stage")).says == ""
            await house.later(2.5)
            says = (await sessions.stream_status("stage")).says
            assert says == "Waiting for a key frame: in OBS set the keyframe interval to 1 s."
            with pytest.raises(NameTaken):  # it is there, and may have a while for that
                await house.publisher().publish(sessions, "stage")
            publisher.camera.is_silent = False
            await house.looked(lambda: sessions.streams()[0].state == "running")
            assert sessions.streams()[0].says == ""

    runner.run(play())


def test_an_offer_that_sends_nothing_is_refused_and_leaves_the_name_free(runner, house):
    async def play():
        async with house.open(seats=1) as sessions:
            for _ in range(2):
                offer = await house.onlooker().offer()
                with pytest.raises(OfferRefused, match="the offer sends no video"):
                    await sessions.publish(offer, Wish(name="stage"))
            assert sessions.seats().free == 1 and sessions.streams() == []

    runner.run(play())


def test_candidates_may_come_after_the_offer(runner, house):
    async def play():
        async with house.open() as sessions:
            publisher = house.publisher(90)
            whole = (await publisher.offer()).sdp
            lines = whole.splitlines()
            late = [each for each in lines if each.startswith(("a=candidate", "a=end-of"))]
            early = "\r\n".join(each for each in lines if each not in late) + "\r\n"
            opened = await sessions.publish(Offer(sdp=early), Wish(name="stage"))
            await publisher.accept(opened)
            secrets = [each for each in lines if each.startswith(("a=ice-ufrag", "a=ice-pwd"))]
            first = ["m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", *secrets[:2]]
            text = "\r\n".join([*first, *dict.fromkeys(late)])
            await sessions.trickle("stage", opened.peer, text)
            await house.looked(lambda: sessions.streams()[0].state == "running")
            with pytest.raises(BadFragment, match="candidates of another connection"):
                await sessions.trickle("stage", opened.peer, "a=ice-ufrag:guess")
            with pytest.raises(BadFragment, match="one of them cannot be read"):
                await sessions.trickle("stage", opened.peer, "a=candidate:nonsense")
            with pytest.raises(UnknownSession):
                await sessions.trickle("stage", "guess", "")
            with pytest.raises(UnknownStream):
                await sessions.trickle("nowhere", opened.peer, "")

    runner.run(play())
