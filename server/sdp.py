"""What an offer must look like before aiortc, which parses it on the event loop, gets to see it.

Measured: 877 KiB with 400 media sections take 128 ms there. Knows no session and no codec.
"""

from __future__ import annotations

from server.refusals import Refusal

MAX_BYTES = 64 * 1024
MAX_LINE = 4096
MAX_SECTIONS = 4
MAX_CANDIDATES = 64
KINDS = ("video", "audio", "application")


def check_offer(sdp: str) -> None:
    """Raise Refusal, saying what is wrong, for an offer that is not worth parsing."""
    if len(sdp) > MAX_BYTES:
        raise Refusal(413, "too-large", f"The offer is too large: {MAX_BYTES} bytes are allowed.")
    if not sdp.isascii() or "\0" in sdp:
        raise _bad("only ASCII text is allowed")
    lines = sdp.replace("\r\n", "\n").split("\n")
    if not lines[0].startswith("v=0"):
        raise _bad("the first line of an SDP is v=0")
    if any(len(line) > MAX_LINE for line in lines):
        raise _bad(f"lines have {MAX_LINE} characters at most")
    _check_sections([line[2:] for line in lines if line.startswith("m=")])
    candidates = sum(line.startswith("a=candidate:") for line in lines)
    if candidates > MAX_CANDIDATES:
        raise _bad(f"{candidates} candidates: {MAX_CANDIDATES} are allowed")
    for needed in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"):
        if not any(line.startswith(needed) for line in lines):
            raise _bad(f"there is no {needed[:-1]} line")


def _check_sections(sections: list[str]) -> None:
    if len(sections) > MAX_SECTIONS:
        raise _bad(f"{len(sections)} media sections: {MAX_SECTIONS} are allowed")
    kinds = [section.partition(" ")[0] for section in sections]
    for kind in kinds:
        if kind not in KINDS:
            raise _bad(f"media {kind[:20]!r}: choose {', '.join(KINDS)}")
    if kinds.count("video") != 1:
        raise _bad(f"{kinds.count('video')} video sections: offer exactly one")
    if kinds.count("application") > 1:
        raise _bad("more than one section for data: offer one")


def _bad(says: str) -> Refusal:
    return Refusal(422, "bad-offer", f"The offer cannot be used: {says}.")
