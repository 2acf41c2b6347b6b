"""Candidates that a peer sends after its offer, as RFC 8840 has them; knows no connection."""

from __future__ import annotations

import re
from dataclasses import dataclass

from server.nouns import BadFragment

MAX_BYTES = 16 * 1024
MAX_CANDIDATES = 64
_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)\s*$", re.MULTILINE)
_MID = re.compile(r"^a=mid:(\S+)\s*$", re.MULTILINE)
_CANDIDATE = re.compile(r"^a=candidate:(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """What was found out since the offer.

    ufrags: which connection it is of. candidates: the media section, empty where it is not told,
    and the candidate, as in SDP. is_end: there will be no more.
    """

    ufrags: frozenset[str]
    candidates: tuple[tuple[str, str], ...]
    is_end: bool


def read_fragment(text: str) -> Fragment:
    """Return what a fragment says; BadFragment for what is none."""
    if len(text) > MAX_BYTES or not text.isascii() or "\0" in text:
        raise BadFragment(f"candidates: send ASCII text of {MAX_BYTES} bytes at most")
    candidates: list[tuple[str, str]] = []
    for section in re.split(r"^m=", text.replace("\r\n", "\n"), flags=re.MULTILINE):
        mid = next(iter(_MID.findall(section)), "")
        candidates += [(mid, candidate) for candidate in _CANDIDATE.findall(section)]
    if len(candidates) > MAX_CANDIDATES:
        raise BadFragment(f"{len(candidates)} candidates: {MAX_CANDIDATES} are allowed")
    return Fragment(
        ufrags=ufrags_of(text),
        candidates=tuple(candidates),
        is_end="a=end-of-candidates" in text,
    )


def ufrags_of(sdp: str) -> frozenset[str]:
    """Return the user fragments of a description; another one means another connection."""
    return frozenset(_UFRAG.findall(sdp.replace("\r\n", "\n")))


def first_mid_of(sdp: str) -> str:
    """Return the name of the first media section, whose connection all of them share."""
    return next(iter(_MID.findall(sdp.replace("\r\n", "\n"))), "")
