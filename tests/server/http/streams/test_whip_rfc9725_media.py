"""WHIP to the letter of RFC 9725, sections 4.4 to 5: every MUST of a server by its section."""

from __future__ import annotations

import pytest

from server.ice import IceSettings
from server.nouns import BadName, Draining, NameTaken, NegotiationTimedOut

# Section 4.4: WebRTC constraints


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("m=video", "m=audio"),
        ("m=audio", "m=video"),
        ("a=msid:obs obs-video", "a=msid:another obs-video"),
    ],
)
def test_section_4_4_2_more_than_one_stream_or_track_of_a_kind_is_refused(
    serve, is_refusal, publisher_sdp, old, new
):
    """Numbers of tracks or streams that are not supported MUST be rejected with 422 or 400."""

    async def work(served):
        return await served.signal("/whip/cam", publisher_sdp.replace(old, new))

    assert is_refusal(serve(work), 422, "bad-offer")


@pytest.mark.parametrize(
    ("codec", "name"), [("H265", "HEVC"), ("AV1", "AV1"), ("VP9", "VP9"), ("rtx", "no codec")]
)
def test_video_that_cannot_be_decoded_is_refused_whole(
    serve, is_refusal, publisher_sdp, codec, name
):
    """Section 4.4.3: no partially successful answers."""

    async def work(served):
        return await served.signal("/whip/cam", publisher_sdp.replace("H264", codec))

    response = serve(work)

    assert is_refusal(response, 406, "wrong-codec")
    assert name in response.json()["says"] and "choose H.264" in response.json()["says"]


@pytest.mark.parametrize(
    "lines",
    [
        "a=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l",
        "a=ssrc-group:SIM 11 12 13",
    ],
)
def test_section_4_8_simulcast_is_refused_with_what_to_set(serve, is_refusal, publisher_sdp, lines):
    """Simulcast MAY be supported; where it is not, OBS shows what the server says."""

    async def work(served):
        offer = publisher_sdp.rstrip() + f"\r\n{lines}\r\n"
        return await served.signal("/whip/cam", offer)

    response = serve(work)

    assert is_refusal(response, 406, "simulcast")
    assert "set total layers to 1" in response.json()["says"]


def test_one_layer_is_no_simulcast(serve, publisher_sdp):
    async def work(served):
        offer = publisher_sdp.rstrip() + "\r\na=rid:h send\r\na=ssrc-group:FID 11 12\r\n"
        return await served.signal("/whip/cam", offer)

    assert serve(work).status_code == 201


# Sections 4.5 and 4.6: load, STUN and TURN


def test_section_4_5_a_server_without_a_free_seat_says_when_to_come_back(
    publish, is_refusal, publisher_sdp
):
    """503 with Retry-After; and nobody waits in the queue for a program that does not."""

    async def work(served, begun):
        return await served.signal("/whip/other", publisher_sdp), served.sessions.seats()

    response, seats = publish(work, seats=1)

    assert is_refusal(response, 503, "full")
    assert int(response.headers["retry-after"]) >= 1
    assert seats.waiting == 0


@pytest.mark.parametrize(
    ("error", "status", "key"),
    [
        (NameTaken("stream 'cam' is published already"), 409, "name-taken"),
        (BadName("stream name 'x y': choose a-z"), 422, "bad-name"),
        (NegotiationTimedOut("nothing was agreed on in 10 s"), 503, "timed-out"),
        (Draining("the server restarts"), 503, "draining"),
    ],
)
def test_what_the_sessions_refuse_has_a_status_and_their_sentence(
    serve, is_refusal, publisher_sdp, error, status, key
):
    async def work(served):
        served.sessions.error = error
        return await served.signal("/whip/cam", publisher_sdp)

    response = serve(work)

    assert is_refusal(response, status, key)
    assert str(error)[1:] in response.json()["says"]


def test_section_4_6_ice_servers_are_named_one_a_link(publish):
    """Link with rel=ice-server, the address as target, credentials as attributes."""

    async def work(served, begun):
        return begun

    turn = "turn:t.example:3478?transport=udp"
    ice = IceSettings(stun=("stun:s.example:3478",), turn=(turn,), turn_secret="north")
    links = publish(work, ice=ice).headers.get_list("link")

    assert links[0] == '<stun:s.example:3478>; rel="ice-server"'
    assert links[1].startswith(f'<{turn}>; rel="ice-server"; username="')
    assert '; credential="' in links[1]
    assert links[1].endswith('; credential-type="password"')
    assert "north" not in str(links)


# Section 4.7: authentication


@pytest.mark.parametrize("method", ["POST", "GET", "PATCH", "DELETE"])
def test_section_4_7_1_bearer_tokens_are_supported(ask, is_refusal, token, method):
    """Bearer token authentication MUST be supported by all WHIP entities."""
    path = "/whip/cam" if method in ("POST", "GET") else "/whip/cam/some-id"
    settings = {"token": token}

    without = ask(method, path, settings=settings)
    wrong = ask(method, path, settings=settings, headers={"Authorization": "Bearer no-such"})
    right = ask(method, path, settings=settings, headers={"Authorization": f"Bearer {token}"})

    assert is_refusal(without, 401, "no-token")
    assert without.headers["www-authenticate"] == "Bearer"
    assert is_refusal(wrong, 401, "wrong-token")
    assert right.status_code not in (401, 403)


# Section 4.9: extensions; section 5: security


def test_section_4_9_no_extension_is_named_that_there_is_not(publish):
    """Extensions MUST be advertised in the 201; without any, there is no Link."""

    async def work(served, begun):
        return begun

    assert "link" not in publish(work).headers


def test_section_5_offers_and_candidates_are_limited_by_address(
    serve, is_refusal, publisher_sdp, token
):
    """Endpoints SHOULD implement a rate limit for POST, PATCH and DELETE."""

    async def work(served):
        client = served.visitor("192.0.2.9", url="http://192.0.2.1")
        client.headers["Authorization"] = f"Bearer {token}"
        offers = [await served.signal("/whip/cam", publisher_sdp, client=client) for _ in range(20)]
        for _ in range(1000):  # on a slow machine some are forgiven meanwhile
            patched = await client.patch("/whip/cam/some-id")
            if patched.status_code == 429:
                break
        return offers[-1], patched

    offered, patched = serve(work, seats=20, host="0.0.0.0", token=token)

    assert is_refusal(offered, 429, "too-many-offers")
    assert is_refusal(patched, 429, "too-many-requests")


def test_section_5_a_body_that_is_too_large_is_not_read(ask, is_refusal):
    headers = {"Content-Type": "application/sdp"}

    response = ask("POST", "/whip/cam", content="v=0\r\n" * 20_000, headers=headers)

    assert is_refusal(response, 413, "too-large")
