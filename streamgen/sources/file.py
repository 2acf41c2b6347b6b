"""A video file as a source: whatever PyAV reads; knows nothing of folders and still images."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamgen.errors import SourceError
from streamgen.frame import Frame, Stamp, VideoInfo
from streamgen.sources.colour import colour_of
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.decode import decode
from streamgen.sources.geometry import Size, place
from streamgen.sources.orientation import UPRIGHT, Orientation, from_angle, from_display_matrix
from streamgen.sources.protocol import Source, SourceOptions

_FALLBACK_RATE = Fraction(25)


def open_file(path: Path, options: SourceOptions) -> FileSource:
    """Open a video file and decode its first picture, which tells size, turn and colour."""
    if options.rate is not None:
        raise SourceError(f"rate {options.rate}: '{path}' has its own, only images need one")
    container = _open_container(path)
    try:
        stream = video_stream(container, path)
        pictures = decode(container, stream)
        first = next(pictures, None)
        if first is None:
            raise SourceError(f"'{path}' holds no picture that can be decoded")
        return FileSource(container, stream, first=first, rest=pictures, options=options)
    except BaseException:
        container.close()
        raise


class FileSource(Source):
    """The frames of one video stream, each with the time stamp it has in the file."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        *,
        first: VideoFrame,
        rest: Iterator[VideoFrame],
        options: SourceOptions,
    ) -> None:
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        self._stance = Stance(sample_aspect=aspect, orientation=orientation_of(first))
        upright = self._stance.upright(Size(first.width, first.height))
        target = options.target(upright)
        rate = stream.average_rate or stream.guessed_rate or None
        time_base = first.time_base or stream.time_base or 1 / (rate or _FALLBACK_RATE)
        self.info = VideoInfo(
            width=target.width,
            height=target.height,
            rate=rate,
            time_base=time_base,
            frame_count=_frame_count(container, stream),
            colour=colour_of(first),
        )
        self.content = place(upright, target, fit=options.fit).content
        path = Path(container.name.removeprefix("file:"))
        self.audio = path if container.streams.audio else None
        self._container = container
        self._pictures = chain([first], rest)
        self._converter = Converter(target, fit=options.fit)
        self._clock = options.clock

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that were not yielded yet; SourceError where the file breaks off."""
        time_base = self.info.time_base
        step = max(1, round(1 / ((self.info.rate or _FALLBACK_RATE) * time_base)))
        pts: int | None = None
        for index, picture in enumerate(self._pictures):
            pts = _presentation_time(picture.pts, after=pts, step=step)
            ingest_ns = self._clock()
            pixels = self._converter.convert(picture, self._stance)
            stamp = Stamp(index=index, pts=pts, time_base=time_base, ingest_ns=ingest_ns)
            yield Frame(pixels=pixels, stamp=stamp)

    def close(self) -> None:
        """Close the file; no frame comes after that."""
        self._pictures = chain([])
        self._container.close()


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read which way up a decoded frame stands."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18.1 cannot list side data with a type it does not know (EXIF)
        return from_angle(frame.rotation)
    if not isinstance(matrix, Buffer):
        return UPRIGHT
    return from_display_matrix(np.frombuffer(bytes(matrix), np.int32).tolist())


def _presentation_time(pts: int | None, *, after: int | None, step: int) -> int:
    """Keep a time stamp; fill in a missing one, push on one that goes back."""
    if after is None:
        return 0 if pts is None else pts
    return after + step if pts is None else max(pts, after + 1)


def _open_container(path: Path) -> InputContainer:
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"'{path}' is empty")
        # "file:" keeps a colon in a name from being taken for a protocol.
        return av.open(f"file:{path}", "r")
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise SourceError(f"'{path}' cannot be read as a video: {reason}") from error


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the one video stream that is read; a cover picture or text drawn as video is none."""
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams or container.format.name == "tty":
        found = "only sound" if container.streams.audio else "no video"
        raise SourceError(f"'{path}' holds {found}; name a file with a video stream")
    stream = streams[0]
    for other in container.streams:
        if other is not stream:
            other.discard = av.stream.Discard.all
    if stream.codec_context is None:
        raise SourceError(f"'{path}' holds video of a codec that cannot be decoded here")
    stream.thread_type = "AUTO"
    return stream


def _frame_count(container: InputContainer, stream: VideoStream) -> int | None:
    """Count the frames to be shown where the format has an index of them (mp4, mov)."""
    if "mov" not in container.format.name or not len(stream.index_entries):
        return None
    return sum(not entry.is_discard for entry in stream.index_entries)
