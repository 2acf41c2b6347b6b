"""WHIP to the letter of RFC 9725, section 4.3, ICE: every MUST of a server by its section."""

from __future__ import annotations

import pytest

from server.nouns import BadFragment

FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"


def test_section_4_3_1_every_agreement_has_a_strong_entity_tag_of_its_own(publish, publisher_sdp):
    """The entity-tag of the initial ICE session MUST be in the ETag of the answer 201."""

    async def work(served, begun):
        return begun, await served.signal("/whip/other", publisher_sdp)

    tags = [response.headers["etag"] for response in publish(work)]

    assert all(tag.startswith('"') and tag.endswith('"') and len(tag) > 8 for tag in tags)
    assert tags[0] != tags[1]


def test_section_4_3_1_delete_does_not_look_at_entity_tags(publish):
    """Sessions MUST ignore any entity-tag where ICE session matching is not required."""

    async def work(served, begun):
        headers = {"If-Match": '"another"'}
        return await served.client.delete(begun.headers["location"], headers=headers)

    assert publish(work).status_code == 200


@pytest.mark.parametrize("type", ["application/sdp", "application/json", "text/plain", None])
def test_section_4_3_1_a_patch_of_another_type_is_refused(trickle, is_refusal, type):
    """Sessions MUST reject a PATCH of another content type with a 4xx."""
    response, sessions = trickle(Content_Type=type)

    assert is_refusal(response, 415, "wrong-type")
    assert response.headers["accept-patch"] == FRAGMENT_TYPE  # RFC 5789, section 2.2
    assert sessions.fragments == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "a=mid:0\r\n",
        "{}",
        "a=candidate:1\r\n" * 65,
        "a=candidate:ü",
        "a=" + "x" * 5000,
    ],
)
def test_section_4_3_1_a_malformed_fragment_is_refused(trickle, is_refusal, text):
    """Sessions MUST reject a malformed fragment with a 4xx."""
    response, sessions = trickle(text)

    assert response.json()["error"] in ("bad-fragment", "malformed")
    assert is_refusal(response, 400, response.json()["error"])
    assert sessions.fragments == []


def test_section_4_3_1_without_an_entity_tag_a_patch_is_refused(trickle, is_refusal):
    """A missing entity-tag is answered with 428 Precondition Required."""
    response, sessions = trickle(If_Match=None)

    assert is_refusal(response, 428, "no-entity-tag")
    assert sessions.fragments == []


@pytest.mark.parametrize("tag", ['"another"', "", 'W/"another"'])
def test_section_4_3_1_with_another_entity_tag_a_patch_is_refused(trickle, is_refusal, tag):
    """A non-matching entity-tag is answered with 412 Precondition Failed."""
    response, sessions = trickle(If_Match=tag)

    assert is_refusal(response, 412, "other-entity-tag")
    assert sessions.fragments == []


def test_the_entity_tag_of_an_earlier_agreement_does_not_match(
    publish, is_refusal, publisher_sdp, fragment
):
    """Section 4.3.1: an outdated entity-tag is answered with 412 Precondition Failed."""

    async def work(served, begun):
        served.sessions.offers.clear()  # the next one gets the id of the one before
        again = await served.signal("/whip/cam", publisher_sdp)
        assert again.headers["location"] == begun.headers["location"]
        headers = {"Content-Type": FRAGMENT_TYPE, "If-Match": begun.headers["etag"]}
        return await served.client.patch(
            again.headers["location"], content=fragment, headers=headers
        )

    assert is_refusal(publish(work), 412, "other-entity-tag")


def test_section_4_3_2_candidates_are_added_and_nothing_is_said(trickle, fragment):
    """A PATCH that adds candidates MUST get 204 without body, and MUST NOT have an ETag."""
    response, sessions = trickle()

    assert (response.status_code, response.content) == (204, b"")
    assert "etag" not in response.headers
    assert sessions.fragments == [("cam", "session-1", fragment)]


@pytest.mark.parametrize("tag", ["*", '"another", {tag}'])
def test_section_4_3_2_any_entity_tag_of_a_list_will_do(publish, fragment, tag):
    """RFC 9110, section 13.1.1: If-Match is `*` or a list."""

    async def work(served, begun):
        given = tag.format(tag=begun.headers["etag"])
        headers = {"Content-Type": FRAGMENT_TYPE, "If-Match": given}
        address = begun.headers["location"]
        return await served.client.patch(address, content=fragment, headers=headers)

    assert publish(work).status_code == 204


@pytest.mark.parametrize("was", ["Ab3d", "abcdefghijklmnopqrstuv"])
def test_section_4_3_3_an_ice_restart_is_refused_and_the_session_stays(
    trickle, is_refusal, fragment, was
):
    """With trickle alone, a restart MUST get 422; the session MUST NOT be terminated."""
    response, sessions = trickle(fragment.replace(was, "n" * len(was)), If_Match="*")

    assert is_refusal(response, 422, "no-ice-restart")
    assert (list(sessions.here), sessions.fragments) == (["session-1"], [])


def test_candidates_for_a_session_that_is_not_there_are_refused(ask, is_refusal, fragment):
    """RFC 9110, section 15.5.5."""
    headers = {"Content-Type": FRAGMENT_TYPE, "If-Match": "*"}

    response = ask("PATCH", "/whip/cam/some-id", content=fragment, headers=headers)

    assert is_refusal(response, 404, "unknown-session")


def test_candidates_that_cannot_be_read_are_refused(publish, is_refusal, fragment):
    """Section 4.3.1: the SDP fragment is malformed."""

    async def work(served, begun):
        served.sessions.error = BadFragment("candidates: one of them cannot be read")
        headers = {"Content-Type": FRAGMENT_TYPE, "If-Match": "*"}
        address = begun.headers["location"]
        return await served.client.patch(address, content=fragment, headers=headers)

    assert is_refusal(publish(work), 400, "bad-fragment")
