"""What visitors get: their own picture back, controls in order, and their place after a break."""

from __future__ import annotations

import pytest

from server.nouns import (
    Draining,
    Offer,
    OfferRefused,
    SeatsTaken,
    SessionPatch,
    UnknownResume,
    UnknownSession,
    Wish,
    WrongTicket,
)
from streamgen.errors import ConfigError
from streamgen.sources.geometry import Size

LARGER = Size(width=96, height=64)


def test_two_visitors_each_see_their_own_picture_and_no_other(runner, house):
    async def play():
        async with house.open() as sessions:
            one, two = house.visitor(60), house.visitor(200)
            opened = await one.join(sessions, controls={"steps": 2})
            await two.join(sessions)
            assert opened.stream.width == 64 and opened.controls["steps"] == 2
            await one.sees(60)
            await two.sees(200)
            assert sessions.seats().free == 2 and len(sessions.ids()) == 2
            assert (await one.hears("frame"))["encode_ms"] > 0
            status = await sessions.status(opened.id)
            assert (status.state, status.stream.backend) == ("running", "passthrough")
            assert status.streams == 2 and set(status.stages_ms) == {"queue", "model", "encode"}
            await sessions.close(opened.id)
            assert (await one.hears("closed"))["says"] == "ended by its page"
            with pytest.raises(UnknownSession):
                await sessions.status(opened.id)
            before = two.shown
            await house.looked(lambda: two.shown > before + 3)
            assert sessions.seats().free == 3

    runner.run(play())


def test_patches_of_page_and_rest_are_ordered_and_each_hears_of_the_other(runner, house):
    async def play():
        async with house.open() as sessions:
            visitor = house.visitor()
            opened = await visitor.join(sessions)
            patch = {"type": "patch", "id": 7, "changes": {"steps": 3}, "sequence": 1}
            visitor.say(patch)
            patched = await visitor.hears("patched", id=7)
            assert (patched["revision"], patched["stale"]) == (1, False)
            assert patched["controls"]["steps"] == 3
            visitor.say({**patch, "id": 8, "changes": {"steps": 4}})
            assert (await visitor.hears("patched", id=8))["stale"]

            answer = await sessions.patch(opened.id, SessionPatch(controls={"strength": 0.25}))
            assert (answer.revision, answer.controls["steps"]) == (2, 3)
            told = await visitor.hears("controls", revision=2)
            assert told["controls"]["strength"] == 0.25

            for sequence in range(2, 40):
                changes = {"strength": sequence / 100}
                visitor.say({"type": "patch", "changes": changes, "sequence": sequence}, "live")
            visitor.say({"type": "patch", "changes": {"strength": 7}}, "live")
            assert "strength 7" in (await visitor.hears("refused", id=0))["says"]
            visitor.say({**patch, "id": 9, "changes": {"seed": 5}, "sequence": 2})
            await visitor.hears("patched", id=9)
            controls = (await sessions.status(opened.id)).controls
            assert (controls["steps"], controls["seed"]) == (3, 5)

    runner.run(play())


def test_output_modes_work_by_page_and_rest(runner, house):
    async def play():
        async with house.open() as sessions:
            visitor = house.visitor(150)
            opened = await visitor.join(sessions)
            await visitor.sees(150)
            visitor.say({"type": "output", "id": 1, "mode": "black"})
            await visitor.hears("output", id=1, mode="black")
            await visitor.sees(0)
            answer = await sessions.patch(opened.id, SessionPatch(output="bypass"))
            assert answer.output == "bypass"
            await visitor.hears("output", id=0, mode="bypass")
            visitor.camera.value = 90
            await visitor.sees(90)

    runner.run(play())


def test_a_visitor_who_returns_gets_controls_output_and_size_back(runner, house):
    async def play():
        async with house.open() as sessions:
            first = house.visitor()
            opened = await first.join(sessions, size=LARGER)
            await sessions.patch(
                opened.id,
                SessionPatch(controls={"prompts": "ink", "t_index_list": [5]}, output="bypass"),
            )
            second = house.visitor(80)
            again = await second.join(sessions, resume=opened.resume)
            assert again.id == opened.id and again.output == "bypass"
            assert again.controls["prompts"] == [{"text": "ink", "weight": 1.0}]
            assert (await first.hears("closed"))["says"] == "this session goes on elsewhere"
            await second.sees(80)
            second.say({"type": "patch", "id": 1, "changes": {"seed": 3}, "sequence": 0})
            assert not (await second.hears("patched", id=1))["stale"]

            await sessions.close(again.id)
            third = house.visitor()
            returned = await third.join(sessions, resume=opened.resume, controls={"seed": 4})
            assert returned.id != opened.id and returned.output == "bypass"
            assert (returned.stream.width, returned.controls["t_index_list"]) == (96, [5])
            assert returned.controls["seed"] == 4
            await sessions.close(returned.id)
            house.clock.now += 601
            with pytest.raises(UnknownResume):
                await sessions.open(Offer(sdp=""), Wish(resume=opened.resume))

    runner.run(play())


def test_the_size_changes_without_a_break(runner, house):
    async def play():
        async with house.open() as sessions:
            visitor = house.visitor(140)
            opened = await visitor.join(sessions)
            await visitor.sees(140)
            visitor.say({"type": "size", "id": 1, "width": 50, "height": 50})
            refused = await visitor.hears("refused", id=1)
            assert refused["says"] == "size 50x50: choose 64x64, 96x64"
            visitor.say({"type": "size", "id": 2, "width": 96, "height": 64})
            await visitor.hears("size", id=2)
            visitor.say({"type": "patch", "id": 3, "changes": {"seed": 9}})
            await visitor.hears("patched", id=3)
            await house.looked(lambda: visitor.seen_size == (96, 64))
            status = await sessions.status(opened.id)
            assert (status.stream.width, status.controls["seed"]) == (96, 9)
            [group] = [each for each in await house.desk.groups() if each["config"]["width"] == 64]
            assert group["streams"] == 0

    runner.run(play())


def test_who_comes_when_all_seats_are_taken_waits_and_comes_in(runner, house):
    async def play():
        async with house.open(seats=1) as sessions:
            one, two = house.visitor(), house.visitor(30)
            opened = await one.join(sessions)
            with pytest.raises(SeatsTaken) as taken:
                await two.join(sessions)
            ticket = taken.value.place.ticket
            assert not sessions.place(ticket).is_ready
            await sessions.close(opened.id)
            assert sessions.place(ticket).is_ready
            with pytest.raises(SeatsTaken):
                await sessions.open(Offer(sdp="x"), Wish())
            with pytest.raises(WrongTicket):
                await sessions.open(Offer(sdp="x"), Wish(ticket="guess"))
            await two.join(sessions, ticket=ticket)
            await two.sees(30)

    runner.run(play())


@pytest.mark.parametrize(
    ("wish", "error", "sentence"),
    [
        (Wish(controls={"strength": 3}), ConfigError, "strength 3: give a number from 0 to 1"),
        (Wish(size=Size(width=8, height=8)), ConfigError, "size 8x8: choose 64x64, 96x64"),
        (Wish(resume="guess"), UnknownResume, "not remembered"),
        (Wish(), OfferRefused, "cannot be answered"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(runner, house, wish, error, sentence):
    async def play():
        async with house.open(seats=1) as sessions:
            with pytest.raises(error, match=sentence):
                await sessions.open(Offer(sdp="v=0\r\nm=video nonsense\r\n"), wish)
            assert sessions.seats().free == 1 and sessions.ids() == []

    runner.run(play())


def test_draining_tells_everyone_ends_what_is_left_and_takes_nobody(runner, house):
    async def play():
        async with house.open() as sessions:
            visitor = house.visitor()
            await visitor.join(sessions)
            await sessions.drain(0.2)
            assert (await visitor.hears("draining"))["in_s"] == 0.2
            await visitor.hears("closed", says="the server is stopping")
            assert sessions.ids() == []
            with pytest.raises(Draining):
                await sessions.open(Offer(sdp=""), Wish())

    runner.run(play())
