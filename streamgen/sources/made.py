"""What sources have in common that are made here and not read: their options and their time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from streamgen.errors import ConfigError, SourceError
from streamgen.frame import Colour, Stamp, VideoInfo
from streamgen.sources.colour import guess_matrix
from streamgen.sources.protocol import SourceOptions
from streamgen.sources.query import read_query, read_rate, read_size, refuse_rate

_DEFAULTS = {"frames": "endless", "size": "640x360", "rate": "30"}


def read_made(name: str, query: str, options: SourceOptions) -> VideoInfo:
    """Read frames=120&size=640x360&rate=30: SourceError names what cannot be."""
    refuse_rate(name, options)
    asked, location = read_query(name, query, _DEFAULTS), f"{name}?{query}"
    rate = read_rate(asked["rate"], location)
    try:
        size = options.target(read_size(asked["size"], location))
        frame_count = None if asked["frames"] == "endless" else int(asked["frames"])
    except (ValueError, ConfigError) as error:
        raise SourceError(f"input {location!r}: {error}") from error
    if frame_count is not None and frame_count < 1:
        raise SourceError(f"input {location!r}: frames are at least 1")
    return VideoInfo(
        width=size.width,
        height=size.height,
        rate=rate,
        time_base=1 / rate,
        frame_count=frame_count,
        colour=Colour(matrix=guess_matrix(size.width, size.height)),
    )


def stamps(info: VideoInfo, clock: Callable[[], int]) -> Iterator[Stamp]:
    """Yield the stamps of all frames."""
    total = info.frame_count
    for index in count() if total is None else range(total):
        yield Stamp(index=index, pts=index, time_base=info.time_base, ingest_ns=clock())
