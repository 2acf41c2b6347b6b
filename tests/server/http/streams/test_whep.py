"""WHEP (draft-ietf-wish-whep-03): what is not as in WHIP, whose routes it shares."""

from __future__ import annotations

import pytest

from server.nouns import OfferRefused, QueueFull


@pytest.fixture
def watch(serve, publisher_sdp, player_sdp):
    """Watch stream `cam`, which runs: watch(work) with the served site and the answer."""

    def run(work, *, sdp=player_sdp, **settings):
        async def whole(served):
            await served.signal("/whip/cam", publisher_sdp)
            return await work(served, await served.signal("/whep/CAM", sdp))

        return serve(whole, **settings)

    return run


async def both(served, begun):
    return begun, served.sessions.guests


def test_a_player_is_a_guest_that_may_not_steer(watch, player_sdp):
    response, guests = watch(both)

    assert response.status_code == 201
    assert response.headers["location"] == "/whep/cam/guest-1"
    assert response.headers["etag"].startswith('"')
    assert response.headers["content-type"].partition(";")[0] == "application/sdp"
    ((name, offer, may_control),) = guests
    assert (name, offer.sdp, may_control) == ("cam", player_sdp, False)


def test_a_stream_that_nobody_publishes_is_a_conflict_to_try_again(serve, is_refusal, player_sdp):
    """The endpoint SHALL return 409 with Retry-After where it wants a live publisher."""

    async def work(served):
        return await served.signal("/whep/cam", player_sdp)

    response = serve(work)

    assert is_refusal(response, 409, "unknown-stream")
    assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_an_offer_that_receives_nothing_is_refused(watch, is_refusal, player_sdp, direction):
    """The inactive and sendonly attributes MUST NOT be used; sendrecv MAY be."""
    response, guests = watch(both, sdp=player_sdp.replace("recvonly", direction))

    assert is_refusal(response, 422, "bad-offer")
    assert guests == []


def test_who_watches_without_h264_is_told_so(serve, is_refusal, player_sdp):
    """Not 406, which is how WHEP makes an offer of its own."""

    async def work(served):
        served.sessions.error = OfferRefused("the offer has no H.264")
        return await served.signal("/whep/cam", player_sdp)

    assert is_refusal(serve(work), 422, "bad-offer")


def test_a_stream_with_all_its_guests_says_when_to_come_back(serve, is_refusal, player_sdp):
    async def work(served):
        served.sessions.error = QueueFull("stream 'cam' has 32 guests: more are not let in")
        return await served.signal("/whep/cam", player_sdp)

    response = serve(work)

    assert is_refusal(response, 503, "full")
    assert "retry-after" in response.headers


def test_a_player_leaves(watch):
    async def work(served, begun):
        return await served.client.delete(begun.headers["location"]), served.sessions.closed

    ended, closed = watch(work)

    assert (ended.status_code, ended.content) == (200, b"")
    assert closed == [("cam", "guest-1")]


def test_candidates_of_a_player_reach_its_connection(watch, fragment):
    async def work(served, begun):
        headers = {
            "Content-Type": "application/trickle-ice-sdpfrag",
            "If-Match": begun.headers["etag"],
        }
        address = begun.headers["location"]
        answer = await served.client.patch(address, content=fragment, headers=headers)
        return answer, served.sessions.fragments

    response, fragments = watch(work)

    assert response.status_code == 204
    assert fragments == [("cam", "guest-1", fragment)]


def test_an_endpoint_can_be_told_by_its_type(ask):
    """HEAD SHOULD be answered 200 with Content-Type: application/sdp."""
    response = ask("HEAD", "/whep/cam")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"].partition(";")[0] == "application/sdp"
