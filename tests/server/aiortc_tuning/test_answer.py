from __future__ import annotations

import pytest
from aiortc.sdp import SessionDescription

from server.aiortc_tuning import tuned_answer
from streamgen.errors import ConfigError

ANSWER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 97 98 99",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=rtpmap:97 VP8/90000",
        "a=rtpmap:98 rtx/90000",
        "a=fmtp:98 apt=97",
        "a=rtpmap:99 H264/90000",
        "a=fmtp:99 packetization-mode=1;profile-level-id=42e01f",
        "a=candidate:1 1 udp 2130706431 10.0.0.5 40000 typ host",
        "a=candidate:2 1 udp 2130706431 fd00::2 40001 typ host",
        "a=end-of-candidates",
        "",
    ]
)


def lines(floor: int | None = None, start: int = 3000, public_ip: str | None = None) -> list[str]:
    tuned = tuned_answer(
        ANSWER, uplink_floor_kbps=floor, uplink_start_kbps=start, public_ip=public_ip
    )
    assert tuned.endswith("\r\n")
    return tuned.splitlines()


def test_answer_is_left_alone_where_nothing_is_asked() -> None:
    assert lines() == ANSWER.splitlines()


def test_floor_goes_to_both_video_codecs_and_not_to_retransmissions() -> None:
    wish = "x-google-min-bitrate=1500;x-google-start-bitrate=3000"
    found = [line for line in lines(1500) if line.startswith("a=fmtp")]
    assert found == [
        f"a=fmtp:97 {wish}",
        "a=fmtp:98 apt=97",
        f"a=fmtp:99 packetization-mode=1;profile-level-id=42e01f;{wish}",
    ]


def test_start_is_never_below_the_floor() -> None:
    assert any("min-bitrate=5000;x-google-start-bitrate=5000" in line for line in lines(5000))


def test_public_address_stands_beside_each_of_our_ipv4_addresses() -> None:
    added = set(lines(public_ip="203.0.113.7")) - set(lines())
    assert added == {
        "a=candidate:1p 1 udp 1694498815 203.0.113.7 40000 typ srflx raddr 10.0.0.5 rport 40000"
    }


def test_tuned_answer_is_still_understood() -> None:
    text = "\r\n".join(lines(1500, public_ip="203.0.113.7")) + "\r\n"
    (media,) = SessionDescription.parse(text).media
    assert [candidate.ip for candidate in media.ice_candidates] == [
        "10.0.0.5",
        "203.0.113.7",
        "fd00::2",
    ]
    assert media.rtp.codecs[0].parameters["x-google-min-bitrate"] == "1500"


def test_public_address_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="public address 'example.org': give an IPv4 address"):
        lines(public_ip="example.org")
