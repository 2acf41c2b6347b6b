"""Short clips, input and output side by side, encoded to fit a number of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from benchmarks.stills import DANCER, JUGGLER, SIGNER, Origin, find_file
from streamgen.control_schema import controls_from
from streamgen.drawing import Drawing
from streamgen.errors import ConfigError
from streamgen.frame import Frame, VideoInfo
from streamgen.offline import Finished, with_input
from streamgen.pipeline import Pipeline
from streamgen.sinks import H264Options, open_sink
from streamgen.sources import Size, open_source

EXCERPT_BYTES = 600 * 1024
_CRFS = range(18, 46, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """The first seconds of a clip in a style."""

    origin: Origin
    style: str
    seconds: float


EXCERPTS = (
    Excerpt(origin=SIGNER, style="comic", seconds=4.5),
    Excerpt(origin=JUGGLER, style="watercolor", seconds=4.5),
    Excerpt(origin=DANCER, style="cyberpunk", seconds=4.0),
)


def write_excerpt(path: Path, excerpt: Excerpt, *, data: Path, pipeline: Pipeline) -> None:
    """Redraw an excerpt into a file, as finely encoded as its bytes allow."""
    config = pipeline.engines.config
    stream = pipeline.open_stream(excerpt.style, controls_from({"prompts": excerpt.style}))
    artist = Finished(Drawing(pipeline, stream), with_input)
    clip = find_file(data, excerpt.origin.file)
    with open_source(clip, size=Size(config.width, config.height)) as source:
        info = replace(source.info, width=2 * config.width)
        wanted = takewhile(lambda each: each.stamp.seconds < excerpt.seconds, source.frames())
        pairs = [pair for frame in wanted for pair in artist.draw(frame)] + artist.finish()
    frames = [pair.drawn for pair in pairs]
    encode_within(path, frames, info=info, limit_bytes=EXCERPT_BYTES)


def encode_within(
    path: Path, frames: Sequence[Frame], *, info: VideoInfo, limit_bytes: int
) -> None:
    """Encode frames ever more coarsely until the file is small enough; ConfigError if it never is.

    info: of the frames, which are all held in memory.
    """
    for crf in _CRFS:
        encoding = H264Options(crf=crf, preset="slow")
        with open_sink(path, info, overwrite=True, encoding=encoding) as sink:
            for frame in frames:
                sink.write(frame)
        if path.stat().st_size <= limit_bytes:
            return
    path.unlink()
    raise ConfigError(f"'{path.name}': does not fit into {limit_bytes} bytes; shorten it")
