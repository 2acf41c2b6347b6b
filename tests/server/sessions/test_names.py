"""Names of streams, hands that are used again, and candidates that come late; no peers."""

from __future__ import annotations

import pytest

from server.fragments import MAX_CANDIDATES, first_mid_of, read_fragment, ufrags_of
from server.hands import Hands
from server.names import stream_name
from server.nouns import BadFragment, BadName

CANDIDATE = "1 1 udp 2113937151 192.0.2.7 50000 typ host"


@pytest.mark.parametrize(
    ("text", "name"), [("stage", "stage"), ("OBS-1_b", "obs-1_b"), ("7", "7"), ("A" * 40, "a" * 40)]
)
def test_a_name_is_kept_in_lower_case(text, name):
    assert stream_name(text) == name


@pytest.mark.parametrize("text", ["", "-a", "_a", "a b", "a/b", "ä", "a" * 41, "a\n", "\u212aa"])
def test_what_can_be_no_name_is_refused_with_the_pattern(text):
    with pytest.raises(BadName, match="choose 1 to 40 of a-z, 0-9, _ and -"):
        stream_name(text)


def test_a_hand_is_used_again_and_its_numbers_are_counted_on():
    hands = Hands()
    first, second = hands.take(), hands.take()
    assert first.counted("live", 0) == ("live:0", 0)
    assert first.counted("live", 9) == ("live:0", 9)
    assert first.counted("live", 5) == ("live:0", 5)
    assert second.counted("control", None) == ("control:1", None)
    first.free()
    first.free()
    third = hands.take()
    assert third.counted("live", 0) == ("live:0", 10)
    assert third.counted("control", 3) == ("control:0", 3)
    assert hands.take().slot == 2
    assert first.counted("live", 99) == ("live:0", None)
    assert third.counted("live", 1) == ("live:0", 11)


def test_a_fragment_tells_candidates_by_their_media_section():
    text = "\r\n".join(
        [
            "a=ice-ufrag:abcd",
            "a=ice-pwd:abcdefghijklmnopqrstuv",
            "m=audio 9 UDP/TLS/RTP/SAVPF 0",
            "a=mid:0",
            f"a=candidate:{CANDIDATE}",
            "m=video 9 UDP/TLS/RTP/SAVPF 96",
            f"a=candidate:{CANDIDATE}",
            "a=mid:1",
            "a=end-of-candidates",
            "",
        ]
    )
    fragment = read_fragment(text)
    assert fragment.candidates == (("0", CANDIDATE), ("1", CANDIDATE))
    assert (fragment.ufrags, fragment.is_end) == ({"abcd"}, True)
    assert (first_mid_of(text), ufrags_of(text)) == ("0", {"abcd"})
    assert read_fragment(f"a=candidate:{CANDIDATE}").candidates == (("", CANDIDATE),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x" * 20_000, "16384 bytes at most"),
        ("a=mid:ä", "ASCII"),
        (f"a=candidate:{CANDIDATE}\n" * (MAX_CANDIDATES + 1), "65 candidates: 64 are allowed"),
    ],
)
def test_a_fragment_that_is_too_much_is_refused(text, sentence):
    with pytest.raises(BadFragment, match=sentence):
        read_fragment(text)
