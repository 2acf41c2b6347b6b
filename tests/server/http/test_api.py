"""The routes: what they answer, and what of a body reaches the sessions."""

from __future__ import annotations

import json

import pytest

from server.nouns import (
    Draining,
    EngineWish,
    NegotiationTimedOut,
    OfferRefused,
    QueueFull,
    UnknownResume,
    WrongTicket,
)
from streamgen.errors import ConfigError, Full
from streamgen.sources.geometry import Size


def test_an_offer_is_answered_with_a_session(serve, sdp):
    async def work(served):
        wish = {"controls": {"strength": 0.25}, "size": {"width": 384, "height": 384}}
        return await served.offer(**wish, mirror=True), served.sessions.offers

    response, offers = serve(work)
    body = response.json()

    assert response.status_code == 201
    assert response.headers["location"] == "/v1/sessions/session-1"
    assert (body["id"], body["type"], body["sdp"]) == ("session-1", "answer", "v=0 answer")
    assert body["controls"]["strength"] == 0.25
    assert body["stream"]["model"] == "tiny"
    assert {"strength", "prompts", "steps"} <= {spec["name"] for spec in body["schema"]}
    assert body["understands"]["styles"][0]["name"] == "watercolor"
    offer, wish = offers[0]
    assert offer.sdp == sdp
    assert (wish.size, wish.mirror) == (Size(width=384, height=384), True)


def test_a_visitor_without_a_seat_gets_a_place_and_later_the_seat(serve):
    async def work(served):
        first, second = await served.offer(), await served.offer()
        ticket = second.json()["ticket"]
        waits = await served.client.get(f"/v1/queue/{ticket}")
        await served.client.delete(f"/v1/sessions/{first.json()['id']}")
        may_come = await served.client.get(f"/v1/queue/{ticket}")
        third = await served.offer(ticket=ticket)
        return second, waits, may_come, third

    second, waits, may_come, third = serve(work, seats=1)

    assert second.status_code == 202
    assert second.json() == {"ticket": second.json()["ticket"], "position": 1, "retry_s": 2.0}
    assert waits.json() == {"position": 1, "ready": False, "retry_s": 2.0}
    assert may_come.json()["ready"] is True
    assert third.status_code == 201


def test_who_leaves_the_queue_is_not_in_it_any_more(serve, is_refusal):
    async def work(served):
        await served.offer()
        ticket = (await served.offer()).json()["ticket"]
        left = await served.client.delete(f"/v1/queue/{ticket}")
        return left, await served.client.get(f"/v1/queue/{ticket}")

    left, after = serve(work, seats=1)

    assert left.status_code == 204
    assert is_refusal(after, 404, "unknown-ticket")


def test_a_session_is_read_changed_and_ended(serve, is_refusal):
    async def work(served):
        address = (await served.offer()).headers["location"]
        changes = {"controls": {"prompts": None}, "over_s": 2, "sequence": 7, "output": "freeze"}
        return (
            await served.client.get(address),
            await served.client.patch(address, json=changes),
            await served.client.delete(address),
            await served.client.get(address),
            served.sessions.patches,
        )

    status, patched, ended, gone, patches = serve(work)

    assert status.json()["dropped"] == {"overtaken": 3}
    assert patched.json()["revision"] == 2
    assert ended.status_code == 204
    assert is_refusal(gone, 404, "unknown-session")
    _, patch = patches[0]
    assert (patch.controls, patch.over_s, patch.sequence) == ({"prompts": None}, 2.0, 7)
    assert (patch.output, patch.engine, patch.hand) == ("freeze", None, "api")


def test_what_draws_is_changed_whole_or_in_part(serve, is_refusal):
    small = {"width": 256, "height": 256}

    async def work(served):
        address = (await served.offer()).headers["location"]
        for body in (
            {"size": small},
            {"engine": {"backend": "openvino"}},
            {"engine": {"precision": "bf16", "size": small}},
            {"size": small, "engine": {"precision": "fp32"}},
        ):
            assert (await served.client.patch(address, json=body)).status_code == 200
        refused = [
            await served.client.patch(address, json=body)
            for body in ({"size": small, "engine": {"size": small}}, {"engine": {"model": "x"}})
        ]
        return [patch.engine for _, patch in served.sessions.patches], refused

    engines, refused = serve(work)

    size = Size(width=256, height=256)
    assert engines == [
        EngineWish(size=size),
        EngineWish(backend="openvino"),
        EngineWish(size=size, precision="bf16"),
        EngineWish(size=size, precision="fp32"),
    ]
    assert is_refusal(refused[0], 422, "invalid")
    assert is_refusal(refused[1], 422, "unknown-field")


@pytest.mark.parametrize(
    ("error", "status", "key"),
    [
        (WrongTicket("this ticket is not valid any more"), 409, "wrong-ticket"),
        (UnknownResume("this session is not remembered"), 409, "unknown-resume"),
        (OfferRefused("the offer sends no video"), 422, "bad-offer"),
        (ConfigError("size 8x8: choose 256x256"), 422, "invalid"),
        (QueueFull("all seats are taken and 8 wait"), 503, "full"),
        (Full("memory: this stream needs about 900 MiB"), 503, "full"),
        (NegotiationTimedOut("nothing was agreed on in 10 s"), 503, "timed-out"),
        (Draining("the server restarts"), 503, "draining"),
    ],
)
def test_what_sessions_refuse_has_a_status_and_their_sentence(
    serve, is_refusal, error, status, key
):
    async def work(served):
        served.sessions.error = error
        return await served.offer()

    response = serve(work)

    assert is_refusal(response, status, key)
    assert str(error)[1:] in response.json()["says"]
    assert ("retry-after" in response.headers) is (status == 503)


@pytest.mark.parametrize(
    ("body", "status", "key", "word"),
    [
        (b"{", 400, "bad-json", "JSON"),
        (b"[]", 415, "wrong-type", "JSON object"),
        (b'{"type": "offer"}', 422, "invalid", "sdp"),
        (b'{"sdp": "v=0", "type": "answer"}', 422, "invalid", "type"),
        (b'{"sdp": "v=0", "type": "offer", "extra": 1}', 422, "unknown-field", "extra"),
        (b'{"sdp": 7, "type": "offer"}', 422, "invalid", "sdp"),
        (b'{"sdp": "v=0", "type": "offer", "controls": {"strength": NaN}}', 422, "invalid", "nan"),
        (b'{"sdp": "v=0", "type": "offer", "controls": {"a": 1e999}}', 422, "invalid", "inf"),
        (b'{"sdp": "v=0", "type": "offer", "size": {"width": 1e9}}', 422, "invalid", "width"),
        (b'{"sdp": "v=0", "type": "offer", "resume": "../../x y"}', 422, "invalid", "resume"),
    ],
)
def test_a_body_that_cannot_be_used_is_told_which_part(ask, is_refusal, body, status, key, word):
    headers = {"Content-Type": "application/json"}

    response = ask("POST", "/v1/sessions", content=body, headers=headers)

    assert is_refusal(response, status, key)
    assert word in response.json()["says"]


@pytest.mark.parametrize("depth", [8, 5000])
def test_nesting_without_end_is_refused(serve, is_refusal, depth):
    text = '{"controls": ' + '{"a":' * depth + "1" + "}" * depth + "}"

    async def work(served):
        address = (await served.offer()).headers["location"]
        headers = {"Content-Type": "application/json"}
        return await served.client.patch(address, content=text, headers=headers)

    response = serve(work)

    assert response.status_code in (400, 422)
    assert set(response.json()) == {"error", "says"}


def test_a_body_without_its_type_is_not_taken_for_json(ask, is_refusal, sdp):
    body = json.dumps({"sdp": sdp, "type": "offer"})

    response = ask("POST", "/v1/sessions", content=body, headers={"Content-Type": "text/plain"})

    assert is_refusal(response, 415, "wrong-type")


@pytest.mark.parametrize(
    "changes",
    [{}, {"over_s": 5}, {"output": "upside-down"}, {"over_s": -1, "output": "live"}, {"hand": ""}],
)
def test_a_patch_that_says_nothing_or_nonsense_is_refused(serve, is_refusal, changes):
    async def work(served):
        address = (await served.offer()).headers["location"]
        return await served.client.patch(address, json=changes)

    assert is_refusal(serve(work), 422, "invalid")


def test_who_offers_too_often_is_told_when_to_come_back(serve, is_refusal):
    async def work(served):
        client = served.visitor("192.0.2.9")
        answers = [await client.post("/v1/sessions", json={}) for _ in range(3)]
        body = {"sdp": "x", "type": "offer"}
        answers += [await client.post("/v1/sessions", json=body) for _ in range(300)]
        other = served.visitor("192.0.2.10")
        return answers[-1], await other.post("/v1/sessions", json=body)

    flood, other = serve(work, seats=1)

    assert is_refusal(flood, 429, "too-many-offers")
    assert int(flood.headers["retry-after"]) >= 1
    assert is_refusal(other, 422, "bad-offer")


def test_nobody_new_is_taken_while_the_server_drains(serve, is_refusal):
    async def work(served):
        await served.edge.drain()
        return (
            await served.offer(),
            await served.client.get("/readyz"),
            await served.client.get("/healthz"),
            served.sessions.drained_s,
        )

    offered, ready, healthy, drained_s = serve(work, drain_s=7.0)

    assert is_refusal(offered, 503, "draining")
    assert is_refusal(ready, 503, "draining")
    assert healthy.json() == {"status": "alive"}
    assert drained_s == 7.0


def test_an_unexpected_error_is_one_sentence_that_tells_nothing(serve, is_refusal, sdp):
    async def work(served):
        served.sessions.error = RuntimeError("a secret of the house")
        client = served.visitor(raises=False)
        return await client.post("/v1/sessions", json={"sdp": sdp, "type": "offer"})

    response = serve(work)

    assert is_refusal(response, 500, "unexpected")
    assert "secret" not in response.text
    assert "content-security-policy" in response.headers
