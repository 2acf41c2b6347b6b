"""WHIP to the letter of RFC 9725: what a real connection answers to an offer as OBS makes it."""

from __future__ import annotations

import asyncio

import pytest

from server.peers import Peer, PeerEvents


def nothing(*said):
    """Hear what a peer tells, and do nothing."""


def agree(sdp, work=None):
    """Answer an offer with a real connection, do more with it, and close it."""

    async def whole():
        events = PeerEvents(on_track=nothing, on_message=nothing, on_state=nothing)
        peer = Peer(events, None, direction="recvonly")
        try:
            answer = await peer.answer(sdp)
            if work is not None:
                await work(peer)
            return answer
        finally:
            await peer.close()

    return asyncio.run(whole())


def sections(answer):
    return answer.split("\r\nm=")[1:]


def test_section_4_2_the_answer_receives_and_rejects_nothing(publisher_sdp):
    """The endpoint MUST use recvonly, and SHOULD NOT reject single sections (4.4.3)."""
    found = sections(agree(publisher_sdp))

    assert [section.partition(" ")[0] for section in found] == ["audio", "video"]
    for section in found:
        assert "\r\na=recvonly\r\n" in section
        assert section.split(" ")[1] != "0"


def test_section_4_3_2_the_answer_has_all_candidates_of_the_server(publisher_sdp):
    """The endpoint SHALL gather all candidates before it answers."""
    found = sections(agree(publisher_sdp))

    assert "a=candidate:" in found[0]
    assert "a=end-of-candidates" in found[0]


@pytest.mark.parametrize(
    "candidate",
    [
        "1 1 tcp 1 192.0.2.7 9 typ host tcptype active",
        "1 1 udp 1 nobody.invalid 5000 typ host",
        "1 1 udp 1 192.0.2.7 5000 typ prflx",
    ],
)
def test_section_4_3_2_candidates_of_no_use_are_silently_discarded(
    publisher_sdp, fragment, candidate
):
    """A transport or address that is of no use MUST be discarded, and the rest processed."""
    text = fragment.replace("a=end-of", f"a=candidate:{candidate}\r\na=end-of")

    assert agree(publisher_sdp, lambda peer: peer.add_candidates(text))


def test_section_4_4_1_media_are_bundled_and_rtcp_is_multiplexed(publisher_sdp):
    """Endpoints SHALL bundle; in answers, RFC 8858 wants rtcp-mux and forbids rtcp-mux-only."""
    answer = agree(publisher_sdp)

    assert "a=group:BUNDLE 0 1\r\n" in answer
    for section in sections(answer):
        assert "\r\na=rtcp-mux\r\n" in section
    assert "rtcp-mux-only" not in answer


@pytest.mark.parametrize(("offered", "answered"), [("actpass", "active"), ("active", "passive")])
def test_section_4_4_4_both_roles_of_dtls_are_taken(publisher_sdp, offered, answered):
    """An offer of `active` SHOULD be refused only where it is not supported."""
    answer = agree(publisher_sdp.replace("a=setup:actpass", f"a=setup:{offered}"))

    assert answer.count(f"a=setup:{answered}\r\n") == 2
