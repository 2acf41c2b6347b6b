"""Streams by name: the list, their status, guests, recordings; and names of page's sessions."""

from __future__ import annotations

import pytest

from server.ice import IceSettings
from server.nouns import BadName
from server.recording import RecordingOff


@pytest.fixture
def on_air(serve, publisher_sdp):
    """Publish stream `cam` and then do more: on_air(work) with the served site."""

    def run(work, **settings):
        async def whole(served):
            await served.signal("/whip/cam", publisher_sdp)
            return await work(served)

        return serve(whole, **settings)

    return run


def test_streams_are_listed(on_air):
    async def work(served):
        return (await served.client.get("/v1/streams")).json()

    row = {"name": "cam", "state": "running", "viewers": 1, "is_recording": False, "says": ""}
    assert on_air(work) == {"streams": [row]}


def test_a_page_names_its_stream(serve, is_refusal):
    async def work(served):
        named, unnamed = await served.offer(name="Cam"), await served.offer()
        wrong = await served.offer(name="no name")
        return named, unnamed, wrong, [wish.name for _, wish in served.sessions.offers]

    named, unnamed, wrong, names = serve(work)

    assert (named.json()["name"], unnamed.json()["name"]) == ("cam", "session-2")
    assert is_refusal(wrong, 422, "bad-name")
    assert "no name" in wrong.json()["says"]
    assert names == ["cam", None]


def test_a_stream_is_read_and_changed_as_its_session_is(on_air):
    async def work(served):
        status = await served.client.get("/v1/streams/CAM")
        changes = {"controls": {"strength": 0.5}, "hand": "desk", "sequence": 3}
        patched = await served.client.patch("/v1/streams/cam", json=changes)
        return status.json(), patched.json(), served.sessions.patches

    status, patched, patches = on_air(work)

    assert (status["id"], status["name"], status["viewers"]) == ("session-1", "cam", 2)
    assert patched["controls"] == {"strength": 0.5}
    ((id, patch),) = patches
    assert (id, patch.hand, patch.sequence) == ("session-1", "desk", 3)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/streams/none"),
        ("PATCH", "/v1/streams/none"),
        ("POST", "/v1/streams/none/guests"),
        ("DELETE", "/v1/streams/none/guests/x"),
        ("GET", "/v1/streams/none/recording"),
        ("POST", "/v1/streams/none/recording"),
        ("DELETE", "/v1/streams/none/recording"),
    ],
)
def test_a_stream_that_does_not_run_is_not_there(serve, is_refusal, player_sdp, method, path):
    bodies = {"/v1/streams/none": {"output": "black"}}
    bodies["/v1/streams/none/guests"] = {"sdp": player_sdp}

    async def work(served):
        served.sessions.guests.append(None)  # so that the id is one of somebody
        given = path.replace("/guests/x", "/guests/guest-1")
        more = {} if method == "GET" or path not in bodies else {"json": bodies[path]}
        return await served.client.request(method, given, **more)

    assert is_refusal(serve(work), 404, "unknown-stream")


def test_a_guest_gets_what_a_page_needs(on_air, player_sdp):
    async def work(served):
        answer = await served.client.post("/v1/streams/CAM/guests", json={"sdp": player_sdp})
        return answer, served.sessions.guests

    response, guests = on_air(work, ice=IceSettings(stun=("stun:s:3478",)))
    body = response.json()

    assert response.status_code == 201
    assert response.headers["location"] == "/v1/streams/cam/guests/guest-1"
    assert response.headers["link"] == '<stun:s:3478>; rel="ice-server"'
    assert (body["id"], body["name"], body["sdp"]) == ("guest-1", "cam", "v=0 answer")
    assert (body["type"], body["revision"], body["output"]) == ("answer", 1, "live")
    assert {"strength", "prompts"} <= {spec["name"] for spec in body["schema"]}
    assert body["stream"]["model"] == "tiny" and body["understands"]["styles"]
    assert body["may_control"] is True and guests[0][2] is True


@pytest.mark.parametrize(("right", "may_control"), [("view", False), ("control", True)])
def test_a_guest_steers_where_its_pass_says_so(on_air, player_sdp, token, right, may_control):
    async def work(served):
        given = served.edge.passes.make("cam", {right}, ttl_s=60)
        headers = {"Authorization": f"Bearer {given}"}
        body = {"sdp": player_sdp, "type": "offer"}
        await served.client.post("/v1/streams/cam/guests", json=body, headers=headers)
        return [may for _, _, may in served.sessions.guests]

    async def trusted(served):
        served.client.headers["Authorization"] = f"Bearer {token}"
        await served.offer(name="cam")
        del served.client.headers["Authorization"]
        return await work(served)

    assert on_air(trusted, token=token) == [may_control]


def test_a_guest_leaves(on_air, is_refusal, player_sdp):
    async def work(served):
        await served.client.post("/v1/streams/cam/guests", json={"sdp": player_sdp})
        return [
            await served.client.delete(f"/v1/streams/cam/guests/{id}")
            for id in ("guest-1", "guest-9")
        ]

    left, unknown = on_air(work)

    assert (left.status_code, left.content) == (204, b"")
    assert is_refusal(unknown, 404, "unknown-session")


def test_a_guest_whose_offer_is_of_no_use_is_refused(on_air, is_refusal, publisher_sdp):
    async def work(served):
        return await served.client.post("/v1/streams/cam/guests", json={"sdp": publisher_sdp})

    assert is_refusal(on_air(work), 422, "bad-offer")


def test_a_recording_begins_is_looked_at_and_ends(on_air, is_refusal):
    async def work(served):
        address = "/v1/streams/cam/recording"
        return [
            await served.client.request(method, address)
            for method in ("GET", "POST", "GET", "DELETE", "GET")
        ]

    none, begun, running, ended, gone = on_air(work)

    assert is_refusal(none, 404, "no-recording") and is_refusal(gone, 404, "no-recording")
    assert begun.status_code == 201
    assert running.json() == begun.json()
    assert (running.json()["state"], running.json()["file"]) == ("recording", "cam.mp4")
    assert (ended.status_code, ended.json()["state"]) == (200, "ended")


def test_where_nothing_is_recorded_the_server_says_what_it_wants(on_air, is_refusal):
    async def work(served):
        served.sessions.error = RecordingOff("recording is off here: use --record-dir DIR")
        return await served.client.post("/v1/streams/cam/recording")

    response = on_air(work)

    assert is_refusal(response, 409, "recording-off")
    assert "--record-dir" in response.json()["says"]


def test_a_name_that_can_be_none_is_refused_by_its_sentence(serve, is_refusal, publisher_sdp):
    async def work(served):
        served.sessions.error = BadName("stream name 'x.y': choose 1 to 40 of a-z, 0-9, _ and -")
        return await served.signal("/whip/x.y", publisher_sdp)

    assert is_refusal(serve(work), 422, "bad-name")
