"""A video file with H.264 and the source's sound; it appears whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from streamgen.errors import SinkError
from streamgen.frame import Frame, VideoInfo
from streamgen.sinks.errors import write_error
from streamgen.sinks.h264 import H264Encoder, add_h264
from streamgen.sinks.partial import Partial, claim_file
from streamgen.sinks.protocol import Sink, SinkOptions
from streamgen.sinks.sound import Sound, open_sound

FORMATS = {".mp4": "mp4", ".mov": "mov"}
_FALLBACK_RATE = Fraction(25)


def open_mp4(target: Path, info: VideoInfo, options: SinkOptions) -> Mp4Sink:
    """Begin an mp4 or mov file under a hidden name beside `target`."""
    partial = claim_file(target, source=options.source_path, overwrite=options.overwrite)
    output: OutputContainer | None = None
    notes: list[str] = []
    try:
        output = av.open(
            f"file:{partial.path}",
            "w",
            format=FORMATS[target.suffix.lower()],
            container_options={"movflags": "+faststart"},
        )
        encoder = add_h264(output, info, encoding=options.encoding)
        sound = open_sound(options.audio, output, notes=notes) if options.audio else None
        output.start_encoding()
    except BaseException as error:
        _close_quietly(output)
        partial.discard()
        if isinstance(error, (av.FFmpegError, OSError)):
            raise write_error(target, error) from error
        raise
    return Mp4Sink(info, partial=partial, output=output, encoder=encoder, sound=sound, notes=notes)


class Mp4Sink(Sink):
    """Keeps the distances of the frames' time stamps exactly, and the sound in step with them.

    A file begins at 0: if video and sound both begin later, both move by the same amount. Sound
    beyond the end of the last frame is cut. Odd sides get one more column or row, a repeat of
    the last, because H.264 in 4:2:0 has even sides.
    """

    def __init__(
        self,
        info: VideoInfo,
        *,
        partial: Partial,
        output: OutputContainer,
        encoder: H264Encoder,
        sound: Sound | None,
        notes: list[str],
    ) -> None:
        self.notes = notes
        self._info = info
        self._partial = partial
        self._output = output
        self._encoder = encoder
        self._sound = sound
        self._origin = 0
        self._last_pts: int | None = None
        self._usual_step = round(1 / ((info.rate or _FALLBACK_RATE) * info.time_base)) or 1
        self._step = self._usual_step
        self._frames = 0
        self._is_open = True

    def write(self, frame: Frame) -> None:
        """Encode a frame and write what is ready of video and sound."""
        self._check(frame)
        pts = frame.stamp.pts
        if self._last_pts is None:
            self._origin = self._begin(pts)
        else:
            self._step = self._length_after(pts - self._last_pts)
        self._last_pts = pts
        try:
            self._mux(self._encoder.encode(frame.pixels, pts=pts - self._origin))
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self._frames += 1

    def finish(self) -> None:
        """Write the rest and move the file to its name."""
        if not self._is_open:
            return
        if self._last_pts is None:
            self.abandon()
            raise SinkError(f"output '{self._partial.target}': no frame was written to it")
        try:
            self._mux(self._encoder.flush())
            self._mux_sound(self._last_pts + self._step)
            self._output.close()
            _flush_to_disk(self._partial.path)
        except (av.FFmpegError, OSError) as error:
            raise self._failed(error) from error
        self._is_open = False
        self._close_sound()
        self._partial.publish_file()

    def abandon(self) -> None:
        """Remove what was written."""
        if not self._is_open:
            return
        self._is_open = False
        self._close_sound()
        _close_quietly(self._output)
        self._partial.discard()

    def _begin(self, pts: int) -> int:
        """Return the tick of the source's time that is 0 in the file."""
        time_base = self._info.time_base
        starts = [pts * time_base] + ([self._sound.start] if self._sound else [])
        return max(0, int(min(starts) / time_base))

    def _length_after(self, gap: int) -> int:
        """Return how long a frame lasts if the one before lasted `gap`, both in ticks."""
        is_rounding = abs(gap - self._usual_step) * 10 <= self._usual_step  # 33 and 34 ms
        return self._usual_step if is_rounding else gap

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            packet.duration = self._step  # counts for the last one: the others end at the next
            if packet.pts is not None:
                self._mux_sound(packet.pts + self._origin)
            self._output.mux(packet)

    def _mux_sound(self, end_pts: int) -> None:
        if self._sound is not None:
            time_base = self._info.time_base
            self._sound.mux_until(end_pts * time_base, origin=self._origin * time_base)

    def _check(self, frame: Frame) -> None:
        target, info, pts = self._partial.target, self._info, frame.stamp.pts
        if not self._is_open:
            raise SinkError(f"output '{target}' is closed, no frame can be added")
        if (frame.width, frame.height) != (info.width, info.height):
            sizes = f"{frame.width}x{frame.height}, expected {info.width}x{info.height}"
            raise SinkError(f"output '{target}': a frame of {sizes}")
        if frame.stamp.time_base != info.time_base:
            time_base = frame.stamp.time_base
            raise SinkError(f"output '{target}': time base {time_base}, expected {info.time_base}")
        if self._last_pts is not None and pts <= self._last_pts:
            raise SinkError(f"output '{target}': time stamp {pts} comes after {self._last_pts}")

    def _failed(self, error: Exception) -> SinkError:
        path = self._partial.path
        size = path.stat().st_size if path.exists() else 0
        sentence = write_error(self._partial.target, error, frames=self._frames, written_bytes=size)
        self.abandon()
        return sentence

    def _close_sound(self) -> None:
        if self._sound is not None:
            self._sound.close()


def _close_quietly(output: OutputContainer | None) -> None:
    """Close a file that will be removed; that it cannot be completed does not matter."""
    if output is not None:
        with suppress(av.FFmpegError, OSError, ValueError):
            output.close()


def _flush_to_disk(path: Path) -> None:
    """Make the system say now if the disk is full, not after the file got its name."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
