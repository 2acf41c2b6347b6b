"""A video file decoded into memory, so that decoding is no part of what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
from av.video.frame import VideoFrame

import streamgen
from streamgen.errors import SourceError
from streamgen.sources import open_source
from streamgen.sources.convert import Stance
from streamgen.sources.decode import decode
from streamgen.sources.file import FileSource, orientation_of, video_stream

#: The clip that ships with the package.
SAMPLE = Path(streamgen.__file__).parent / "samples" / "webcam.mp4"
#: Decoded pictures kept at most; a longer or larger clip is cycled through.
_MEMORY_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Pictures as the decoder gives them, and how they stand."""

    name: str
    pictures: Sequence[VideoFrame]
    stance: Stance

    def picture(self, number: int) -> VideoFrame:
        """Return picture `number`; after the last one comes the first again."""
        return self.pictures[number % len(self.pictures)]


def read_clip(path: Path, *, limit: int) -> Clip:
    """Decode the first pictures of a file, `limit` at most; SourceError if it is no video."""
    if not path.is_file():
        raise SourceError(f"clip '{path}': there is no such file; name a video file")
    with open_source(path) as source:
        if not isinstance(source, FileSource):
            raise SourceError(f"clip '{path}' is no video; name a video file")
    with av.open(f"file:{path}", "r") as container:
        stream = video_stream(container, path)
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        pictures = decode(container, stream)
        first = next(pictures)
        size_bytes = sum(plane.buffer_size for plane in first.planes)
        room = max(1, min(limit, _MEMORY_BYTES // max(1, size_bytes)))
        stance = Stance(sample_aspect=aspect, orientation=orientation_of(first))
        kept = [first, *islice(pictures, room - 1)]
    return Clip(name=path.name, pictures=kept, stance=stance)
