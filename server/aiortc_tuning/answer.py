"""An answer's text made better for the way back: what Chromium sends, and where it sends it."""

from __future__ import annotations

import ipaddress
import re

from streamgen.errors import ConfigError

_END = "\r\n"
_CODEC = re.compile(r"a=rtpmap:(\d+) (VP8|H264)/90000", re.IGNORECASE)
_FMTP = re.compile(r"a=fmtp:(\d+) ")
_HOST = re.compile(r"a=candidate:(\S+) (\d+) (udp) (\d+) (\S+) (\d+) typ host", re.IGNORECASE)
# Type preference of a server-reflexive candidate, RFC 8445, section 5.1.2.
_REFLEXIVE_PREFERENCE = 100


def tuned_answer(
    sdp: str, *, uplink_floor_kbps: int | None, uplink_start_kbps: int, public_ip: str | None
) -> str:
    """Return the answer with a floor for Chromium's uplink, and the public address beside ours.

    aiortc tells the sender what has arrived, not what could: without a floor Chromium stays at a
    fraction of the line. public_ip: where ports are kept by the network in front of the server.
    """
    lines = sdp.splitlines()
    if uplink_floor_kbps is not None:
        start = max(uplink_start_kbps, uplink_floor_kbps)
        wish = f"x-google-min-bitrate={uplink_floor_kbps};x-google-start-bitrate={start}"
        lines = _with_wish(lines, wish)
    if public_ip is not None:
        lines = _with_public_address(lines, _address(public_ip))
    return _END.join(lines) + _END


def _with_wish(lines: list[str], wish: str) -> list[str]:
    told = {found[1] for line in lines if (found := _FMTP.match(line))}
    video = {found[1] for line in lines if (found := _CODEC.match(line))}
    better: list[str] = []
    for line in lines:
        codec, fmtp = _CODEC.match(line), _FMTP.match(line)
        if fmtp and fmtp[1] in video:
            better.append(f"{line};{wish}")
        elif codec and codec[1] not in told:
            better += [line, f"a=fmtp:{codec[1]} {wish}"]
        else:
            better.append(line)
    return better


def _with_public_address(lines: list[str], public: ipaddress.IPv4Address) -> list[str]:
    """Add, for each of our IPv4 addresses, the same port at the public one."""
    better: list[str] = []
    for line in lines:
        better.append(line)
        found = _HOST.match(line)
        if found and ":" not in found[5] and found[5] != str(public):
            foundation, component, transport, priority, host, port = found.groups()
            rank = (_REFLEXIVE_PREFERENCE << 24) | (int(priority) & 0xFFFFFF)
            better.append(
                f"a=candidate:{foundation}p {component} {transport} {rank} {public} {port}"
                f" typ srflx raddr {host} rport {port}"
            )
    return better


def _address(text: str) -> ipaddress.IPv4Address:
    try:
        return ipaddress.IPv4Address(text)
    except ValueError as error:
        raise ConfigError(f"public address {text!r}: give an IPv4 address") from error
