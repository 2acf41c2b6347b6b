"""One mp4 file of H.264 packets that were encoded before; knows no folder and no limits.

Every picture is a fragment of its own: however the process ends, the file plays up to the last
picture but one. A file that is closed properly gets an index and is no longer fragmented.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import OutputContainer

from server.recorder_files import RecordingError, RecordingFile

TICKS = 90_000  # a second
_TIME_BASE = Fraction(1, TICKS)
_USUAL_STEP, _LONGEST_STEP = TICKS // 30, TICKS
_MOVFLAGS = "hybrid_fragmented+empty_moov+default_base_moof+frag_every_frame"
_START = re.compile(rb"\x00\x00\x01")
_KIND = 0x1F
_PICTURES = (1, 2, 3, 4, 5)
_PARAMETERS = (7, 8)


@dataclass(frozen=True, slots=True)
class Piece:
    """A picture as Annex B; pts: at 90 kHz."""

    data: bytes
    pts: int
    is_key: bool


def parameters_of(data: bytes) -> bytes:
    """Return the SPS and PPS that a key frame begins with, as they stand; b"" for none."""
    starts = [found.end() for found in _START.finditer(data)]
    sets: list[bytes] = []
    for begin, end in zip(starts, [*starts[1:], len(data)], strict=True):
        kind = data[begin] & _KIND if begin < len(data) else 0
        if kind in _PICTURES:
            break
        if kind in _PARAMETERS:
            sets.append(data[begin:end].removesuffix(b"\x00\x00\x01").rstrip(b"\x00"))
    return b"".join(b"\x00\x00\x00\x01" + each for each in sets)


class Mp4Part:
    """A file of pictures of one size; used by one thread."""

    def __init__(self, file: RecordingFile, container: OutputContainer, first: Piece) -> None:
        """container: writes to the file, and its first stream takes the pictures."""
        self.file = file
        self.parameters = parameters_of(first.data)
        self._container = container
        self._stream = container.streams[0]
        self._origin = first.pts
        self._last = -1
        self._step = _USUAL_STEP

    @property
    def seconds(self) -> float:
        """What the file plays for."""
        return 0.0 if self._last < 0 else (self._last + self._step) / TICKS

    def add(self, piece: Piece) -> None:
        """Write a picture; OSError or av.FFmpegError, and the file ends with the one before."""
        size = self.file.size
        pts = max(piece.pts - self._origin, self._last + 1)
        if self._last >= 0:
            self._step = min(pts - self._last, _LONGEST_STEP)
        packet = av.Packet(piece.data)
        packet.stream = self._stream
        packet.pts = packet.dts = pts
        packet.time_base = _TIME_BASE
        packet.duration = self._step  # counts for the last one: the others end at the next
        packet.is_keyframe = piece.is_key
        try:
            self._container.mux(packet)
        except (OSError, av.FFmpegError):
            self.file.cut(size)
            raise
        self._last = pts

    def close(self) -> None:
        """Write the index and close the file; OSError or av.FFmpegError where that fails."""
        size = self.file.size
        try:
            try:
                self._container.close()
            except (OSError, av.FFmpegError):
                self.file.cut(size)  # without the index it plays as it is
                raise
            self.file.keep()
        finally:
            self.file.close()

    def drop(self) -> None:
        """Close the file as it is, after a failure."""
        with suppress(OSError, av.FFmpegError):
            self.file.cut(self.file.size)
            self._container.close()
        self.file.close()


def begin_part(file: RecordingFile, first: Piece) -> Mp4Part:
    """Begin an mp4 file; `first` is a key frame, and is not written yet."""
    width, height = _size_of(first)
    container = av.open(file, "w", format="mp4", container_options={"movflags": _MOVFLAGS})
    container.add_mux_stream("h264", width=width, height=height, time_base=_TIME_BASE)
    return Mp4Part(file, container, first)


def _size_of(first: Piece) -> tuple[int, int]:
    """Return width and height, which only the picture itself says."""
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    try:
        pictures = [*decoder.decode(av.Packet(first.data)), *decoder.decode(None)]
    except av.FFmpegError as error:
        raise RecordingError("the first picture cannot be read") from error
    if not pictures:
        raise RecordingError("the first picture is not a key frame")
    return pictures[0].width, pictures[0].height
