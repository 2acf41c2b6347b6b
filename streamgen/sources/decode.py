"""The pictures of an opened video, in order, and whether the file breaks off; knows no sizes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamgen.errors import SourceError


def decode(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield every picture of the stream in order of presentation.

    A file that is cut off or damaged yields what decodes before that place, then raises
    SourceError. Damage before the first picture is skipped: a recording may begin anywhere.
    """
    decoded = 0
    damage: Exception | str | None = None
    end = _End(stream, size_bytes=os.path.getsize(_name(container)))
    packets = container.demux(stream)
    while damage is None:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            damage = "a packet is incomplete" if packet.is_corrupt else None
            pictures = [] if damage else packet.decode()
            end.see(packet)
        except av.FFmpegError as error:
            damage, pictures = error, []
        if damage is not None and decoded == 0 and _can_go_on(damage):
            damage = None
        decoded += len(pictures)
        yield from pictures
    if damage is not None:
        pictures = _rest(stream)
        decoded += len(pictures)
        yield from pictures
    damage = damage or end.missing()
    if damage is not None:
        raise SourceError(
            f"'{_name(container)}' breaks off after {decoded} frames: {_sentence(damage)}"
        ) from (damage if isinstance(damage, Exception) else None)


class _End:
    """Where the packets of a stream ended, and where they should have ended."""

    def __init__(self, stream: VideoStream, *, size_bytes: int) -> None:
        self._stream = stream
        self._size_bytes = size_bytes  # of the file, which may lose its name later
        self._seen: Fraction | None = None
        self._longest_gap = Fraction(0)

    def see(self, packet: Packet[VideoStream]) -> None:
        """Take note of a packet's time."""
        if packet.pts is None:
            return
        at = (packet.pts + (packet.duration or 0)) * packet.time_base
        if self._seen is not None:
            self._longest_gap = max(self._longest_gap, at - self._seen)
            at = max(at, self._seen)
        self._seen = at

    def missing(self) -> str | None:
        """Say what is missing at the end of the file, None if it is whole.

        Formats with an index tell places beyond the end of the file; Matroska tells its length.
        """
        entries = self._stream.index_entries
        if len(entries) and (last := entries[len(entries) - 1]).pos + last.size > self._size_bytes:
            return "the file is cut off"
        promised = _seconds(self._stream.metadata.get("DURATION", ""))
        slack = max(Fraction(1), 2 * self._longest_gap)
        if promised and self._seen is not None and self._seen + slack < promised:
            return f"it should last {float(promised):.1f} s, the file is cut off"
        return None


def _rest(stream: VideoStream) -> list[VideoFrame]:
    """Return the pictures that the decoder still holds."""
    with suppress(av.FFmpegError):
        return stream.decode(None)
    return []


def _can_go_on(damage: Exception | str) -> bool:
    return isinstance(damage, (str, av.error.InvalidDataError))


def _seconds(clock: str) -> Fraction | None:
    """Read Matroska's 00:00:12.000000000."""
    try:
        hours, minutes, seconds = clock.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return None


def _sentence(damage: Exception | str) -> str:
    if isinstance(damage, av.FFmpegError):
        return damage.strerror or str(damage)
    return str(damage)


def _name(container: InputContainer) -> str:
    return container.name.removeprefix("file:")
