"""WHIP to the letter of RFC 9725, sections 4.1 and 4.2: every MUST of a server by its section."""

from __future__ import annotations

import pytest

ELSEWHERE = "https://show.example"


# Section 4.1: HTTP usage


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_section_4_1_get_is_answered_with_success_and_no_content(publish, method):
    """The WHIP endpoints and sessions MUST return a 2xx response with no content to GET."""

    async def work(served, begun):
        return [
            await served.client.request(method, address)
            for address in ("/whip/cam", "/whip/nobody-yet", begun.headers["location"])
        ]

    for response in publish(work):
        assert 200 <= response.status_code < 300
        assert response.content == b""


def test_section_4_1_errors_have_a_body_that_says_what_is_wrong(ask, is_refusal):
    """WHIP endpoints could convey finer-grained error information."""
    assert is_refusal(ask("POST", "/whip/cam"), 415, "wrong-type")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "QUERY"])
def test_other_methods_of_the_endpoint_are_not_allowed(ask, is_refusal, method):
    """RFC 9110, section 15.5.6: the server MUST say in Allow what is."""
    response = ask(method, "/whip/cam")

    assert is_refusal(response, 405, "not-allowed")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("method", ["PUT", "POST", "TRACE"])
def test_other_methods_of_the_session_are_not_allowed(publish, is_refusal, method):
    """RFC 9110, section 15.5.6: the server MUST say in Allow what is."""

    async def work(served, begun):
        return await served.client.request(method, begun.headers["location"])

    response = publish(work)

    assert is_refusal(response, 405, "not-allowed")
    assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH"


# Section 4.2: ingest session set-up


def test_section_4_2_an_offer_is_answered_201_with_answer_and_location(publish, publisher_sdp):
    """The endpoint MUST return 201 of application/sdp, the answer, and a Location."""

    async def work(served, begun):
        return begun, served.sessions.offers

    response, offers = publish(work)

    assert response.status_code == 201
    assert response.headers["content-type"].partition(";")[0] == "application/sdp"
    assert response.text == "v=0 answer"
    assert response.headers["location"] == "/whip/cam/session-1"
    offer, wish = offers[0]
    assert (offer.sdp, wish.name) == (publisher_sdp, "cam")


@pytest.mark.parametrize("type", ["application/json", "text/plain", "", "application/sdp2"])
def test_section_4_2_another_content_type_is_refused(serve, is_refusal, publisher_sdp, type):
    """The endpoint MUST reject a content type other than application/sdp with a 4xx."""

    async def work(served):
        return await served.signal("/whip/cam", publisher_sdp, Content_Type=type)

    response = serve(work)

    assert is_refusal(response, 415, "wrong-type")
    assert response.headers["accept-post"] == "application/sdp"


@pytest.mark.parametrize("type", ["Application/SDP", "application/sdp; charset=utf-8"])
def test_the_content_type_is_read_as_http_has_it(serve, publisher_sdp, type):
    """RFC 9110, section 8.3.1: case does not matter, parameters may follow."""

    async def work(served):
        return await served.signal("/whip/cam", publisher_sdp, Content_Type=type)

    assert serve(work).status_code == 201


@pytest.mark.parametrize(
    "text", ["", "hello", "v=0\r\nhello\r\n", "m=video 9 x 96\r\n", "v=0\r\na=ü\r\n", '{"sdp": 1}']
)
def test_section_4_2_a_malformed_offer_is_refused(serve, is_refusal, text):
    """The endpoint MUST reject malformed SDP with a 4xx."""

    async def work(served):
        return await served.signal("/whip/cam", text), served.sessions.offers

    response, offers = serve(work)

    assert is_refusal(response, 400, "malformed")
    assert offers == []


@pytest.mark.parametrize("direction", ["recvonly", "inactive"])
def test_section_4_2_an_offer_that_sends_nothing_is_refused(
    serve, is_refusal, publisher_sdp, direction
):
    """The attributes inactive and recvonly MUST NOT be used; sendrecv MAY be."""

    async def work(served):
        wrong = publisher_sdp.replace("a=sendonly", f"a={direction}")
        right = publisher_sdp.replace("a=sendonly\r\n", "")
        return await served.signal("/whip/a", wrong), await served.signal("/whip/b", right)

    wrong, right = serve(work)

    assert is_refusal(wrong, 422, "bad-offer")
    assert right.status_code == 201


def test_section_4_2_delete_ends_the_session(publish, is_refusal):
    """Upon DELETE the session is removed and its resources are freed; OBS wants 200."""

    async def work(served, begun):
        address = begun.headers["location"]
        ended = await served.client.delete(address)
        return ended, await served.client.delete(address), served.sessions.closed

    ended, again, closed = publish(work)

    assert (ended.status_code, ended.content) == (200, b"")
    assert is_refusal(again, 404, "unknown-stream")
    assert closed == [("session-1", "ended by its publisher")]


def test_a_session_is_ended_under_its_own_stream_and_id_alone(publish, is_refusal, publisher_sdp):
    """Section 5: the addresses of sessions are no door to those of others."""

    async def work(served, begun):
        await served.signal("/whip/other", publisher_sdp)
        return [
            await served.client.delete(path)
            for path in ("/whip/other/session-1", "/whip/cam/session-2", "/whip/cam/guess")
        ] + [served.sessions.closed]

    *refused, closed = publish(work)

    for response in refused:
        assert is_refusal(response, 404, "unknown-session")
    assert closed == []


@pytest.mark.parametrize("path", ["/whip/cam", "/whip/cam/some-id"])
def test_section_4_2_options_is_supported_for_cors(ask, token, path):
    """Endpoints MUST support OPTIONS for CORS, and SHOULD name application/sdp in Accept-Post."""
    headers = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "POST"}
    settings = {"origins": (ELSEWHERE,), "token": token}

    response = ask("OPTIONS", path, headers=headers, settings=settings)

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["access-control-allow-origin"] == ELSEWHERE
    assert "If-Match" in response.headers["access-control-allow-headers"]
    assert {"POST", "PATCH", "DELETE"} <= set(
        response.headers["access-control-allow-methods"].split(", ")
    )
    named = "accept-post" if path == "/whip/cam" else "accept-patch"
    assert response.headers[named] in ("application/sdp", "application/trickle-ice-sdpfrag")
    assert "link" not in response.headers  # section 4.6: not for a preflight


def test_a_page_from_elsewhere_may_read_what_the_protocol_is_made_of(serve, publisher_sdp):
    """FETCH: what is not exposed cannot be read by a page."""

    async def work(served):
        return await served.signal("/whip/cam", publisher_sdp, Origin=ELSEWHERE)

    exposed = serve(work, origins=(ELSEWHERE,)).headers["access-control-expose-headers"]

    assert {"Location", "ETag", "Link", "Retry-After"} <= set(exposed.split(", "))
