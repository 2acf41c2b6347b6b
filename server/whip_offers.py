"""What an offer of WHIP or WHEP, and a fragment of trickled candidates, must say; pure checks.

RFC 9725 is cited by section, as published in March 2025. What every offer must be is in sdp.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from server.refusals import Refusal
from server.sdp import MAX_CANDIDATES, MAX_LINE, check_offer

#: What can be decoded here, as an offer writes it, in capitals.
DECODED = ("H264", "VP8")
#: What an offer lists as codecs and that carries no pictures of its own.
_NO_CODECS = ("RTX", "RED", "ULPFEC", "FLEXFEC-03", "FLEXFEC")
_NAMES = {"H265": "HEVC (H.265)", "AV1": "AV1", "VP9": "VP9"}
_LINE = re.compile(r"[a-z]=.*")
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


def check_publisher(sdp: str) -> None:
    """Raise Refusal for an offer that no picture can come from."""
    video = _checked(sdp)
    if _direction(sdp, video) not in ("sendonly", "sendrecv"):
        raise _unusable("its video is not sent: WHIP wants a=sendonly")  # section 4.2
    _check_streams(sdp)
    if layers := _layers(video):
        raise Refusal(
            406,
            "simulcast",
            f"The offer has {layers} layers of one picture: set total layers to 1"
            " (in OBS: Settings, Stream, Simulcast).",
        )
    codecs = _codecs(video)
    if not any(codec in DECODED for codec in codecs):
        offered = ", ".join(_NAMES.get(codec, codec) for codec in codecs) or "no codec"
        raise Refusal(
            406,
            "wrong-codec",
            f"The offer's video is {offered[:100]}: choose H.264 as the video encoder"
            " (in OBS: Settings, Output, Streaming).",
        )


def check_player(sdp: str) -> None:
    """Raise Refusal for an offer that no picture can go to."""
    if _direction(sdp, _checked(sdp)) not in ("recvonly", "sendrecv"):
        raise _unusable("its video is not received: WHEP wants a=recvonly")


def check_fragment(text: str) -> None:
    """Raise Refusal for what is no fragment of RFC 8840, section 4.4, with candidates."""
    lines = _lines(text)
    if not text.isascii() or any(len(line) > MAX_LINE for line in lines):
        raise _broken_fragment(f"only ASCII text with {MAX_LINE} characters a line is allowed")
    for line in lines:
        if not _LINE.fullmatch(line):
            raise _broken_fragment(f"{line[:40]!r} is no line as a=candidate:... is")
    candidates = _values(lines, "candidate")
    if len(candidates) > MAX_CANDIDATES:
        says = f"{len(candidates)} candidates: {MAX_CANDIDATES} are allowed"
        raise _broken_fragment(says)
    says_end = "a=end-of-candidates" in lines
    if not candidates and not says_end and not credentials(text):
        raise _broken_fragment("there is no a=candidate line")


def credentials(text: str) -> frozenset[str]:
    """Return the ICE user names and passwords of an offer or a fragment."""
    lines = _lines(text)
    return frozenset(
        f"{name}:{value}" for name in ("ice-ufrag", "ice-pwd") for value in _values(lines, name)
    )


def _checked(sdp: str) -> list[str]:
    """Check what every offer must be; return the lines of its one video section."""
    lines = _lines(sdp)
    if not sdp.isascii() or "\0" in sdp:
        raise _malformed("only ASCII text is allowed")
    if not lines or lines[0] != "v=0":
        raise _malformed("the first line of an SDP is v=0")
    for line in lines:
        if not _LINE.fullmatch(line):
            raise _malformed(f"{line[:40]!r} is no line of an SDP, as a=sendonly is")
    check_offer(sdp)
    sections = _sections(lines)
    if sum(section[0].startswith("m=audio ") for section in sections) > 1:
        raise _unusable("more than one audio section: offer one at most")  # section 4.4.2
    return next(section for section in sections if section[0].startswith("m=video "))


def _check_streams(sdp: str) -> None:
    """Section 4.4.2: all media of an offer are of one MediaStream."""
    streams = {value.split(" ")[0] for value in _values(_lines(sdp), "msid")} - {"-", ""}
    if len(streams) > 1:
        raise _unusable(f"{len(streams)} media streams: offer one (a=msid)")


def _direction(sdp: str, section: Sequence[str]) -> str:
    head = sdp.partition("m=")[0]
    for lines in (section, _lines(head)):
        for line in lines:
            if line.removeprefix("a=") in _DIRECTIONS:
                return line.removeprefix("a=")
    return "sendrecv"


def _codecs(section: Sequence[str]) -> list[str]:
    """Return the names of a section's codecs in capitals, each once, as it prefers them."""
    names = [value.partition(" ")[2].partition("/")[0] for value in _values(section, "rtpmap")]
    found = dict.fromkeys(name.upper() for name in names)
    return [name for name in found if name not in _NO_CODECS]


def _layers(section: Sequence[str]) -> int:
    """Return how many layers a section sends; 0 where it is no simulcast."""
    groups = [value.split() for value in _values(section, "ssrc-group")]
    sizes = [len(group) - 1 for group in groups if group and group[0] == "SIM"]
    most = max([len(_values(section, "rid")), *sizes])
    return most if most > 1 else 0


def _values(lines: Sequence[str], name: str) -> list[str]:
    start = f"a={name}:"
    return [line[len(start) :].strip() for line in lines if line.startswith(start)]


def _sections(lines: Sequence[str]) -> list[list[str]]:
    sections: list[list[str]] = []
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        if sections:
            sections[-1].append(line)
    return sections


def _lines(text: str) -> list[str]:
    return [line for line in text.replace("\r\n", "\n").split("\n") if line]


def _malformed(says: str) -> Refusal:
    return Refusal(400, "malformed", f"The offer is no SDP: {says}.")


def _unusable(says: str) -> Refusal:
    return Refusal(422, "bad-offer", f"The offer cannot be used: {says}.")


def _broken_fragment(says: str) -> Refusal:
    return Refusal(400, "bad-fragment", f"The fragment cannot be used: {says}.")
