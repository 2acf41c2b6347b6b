"""Offers that aiortc must never see, and one of a real peer that it must."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from server.refusals import Refusal
from server.sdp import check_offer

HEAD = ["v=0", "o=- 1 2 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=fingerprint:sha-256 AA"]
ICE = ["a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuv"]
VIDEO = ["m=video 9 UDP/TLS/RTP/SAVPF 96", *ICE]
CANDIDATE = "a=candidate:1 1 udp 1 192.0.2.7 5000 typ host"


def sdp(*lines):
    return "\r\n".join([*HEAD, *lines, ""])


async def real_offer():
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video")
    peer.createDataChannel("control")
    await peer.setLocalDescription(await peer.createOffer())
    text = peer.localDescription.sdp
    await peer.close()
    return text


def test_the_offer_of_a_real_peer_is_let_through():
    assert check_offer(asyncio.run(real_offer())) is None


def test_lines_may_end_as_on_any_system():
    assert check_offer(sdp(*VIDEO).replace("\r\n", "\n")) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "first line"),
        ("hello", "first line"),
        (sdp(*VIDEO, "a=x:ü"), "ASCII"),
        (sdp(*VIDEO, "a=x:\0"), "ASCII"),
        (sdp(*VIDEO, "a=" + "x" * 5000), "4096 characters"),
        (sdp(*VIDEO * 400), "400 media sections: 4"),
        (sdp(*VIDEO, *VIDEO), "2 video sections: offer exactly one"),
        (sdp("m=audio 9 UDP/TLS/RTP/SAVPF 111", *ICE), "0 video sections"),
        (sdp(*VIDEO, "m=text 9 RTP/AVP 98"), "media 'text': choose video, audio, application"),
        (sdp(*VIDEO, *["m=application 9 x y"] * 2), "more than one section for data"),
        (sdp(*VIDEO, *[CANDIDATE] * 65), "65 candidates: 64"),
        (sdp("m=video 9 UDP/TLS/RTP/SAVPF 96"), "a=ice-ufrag"),
    ],
)
def test_an_offer_that_cannot_be_is_refused_with_the_reason(text, word):
    with pytest.raises(Refusal, match=word) as caught:
        check_offer(text)

    assert (caught.value.status, caught.value.key) == (422, "bad-offer")


def test_an_offer_that_is_too_large_is_not_looked_at():
    with pytest.raises(Refusal, match="too large") as caught:
        check_offer("v=0\r\n" * 20_000)

    assert caught.value.status == 413
