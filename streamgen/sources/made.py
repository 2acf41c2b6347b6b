"""What sources have in common that are made here and not read: their options and their time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import count
from urllib.parse import parse_qsl

from streamgen.errors import ConfigError, SourceError
from streamgen.frame import Colour, Stamp, VideoInfo
from streamgen.sources.colour import guess_matrix
from streamgen.sources.geometry import parse_size
from streamgen.sources.protocol import SourceOptions

_DEFAULTS = {"frames": "endless", "size": "640x360", "rate": "30"}
# Frames per second, so that files can count in ticks of 32 bits.
_SLOWEST, _FASTEST, _FINEST = Fraction(1, 100), Fraction(1000), 1_000_000


def read_made(name: str, query: str, options: SourceOptions) -> VideoInfo:
    """Read frames=120&size=640x360&rate=30: SourceError names what cannot be."""
    if options.rate is not None:
        raise SourceError(f"rate {options.rate}: write it as {name}?rate={options.rate}")
    asked, location = _read_query(name, query), f"{name}?{query}"
    try:
        size = options.target(parse_size(asked["size"]))
        rate = Fraction(asked["rate"])
        frame_count = None if asked["frames"] == "endless" else int(asked["frames"])
    except (ValueError, ZeroDivisionError, ConfigError) as error:
        raise SourceError(f"input {location!r}: {error}") from error
    if not _SLOWEST <= rate <= _FASTEST or rate.denominator > _FINEST:
        allowed = f"from {_SLOWEST} to {_FASTEST}, with at most 6 decimals"
        raise SourceError(f"input {location!r}: rate {asked['rate']}: allowed is {allowed}")
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


def _read_query(name: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise SourceError(f"{name} option {query!r}: write name=value") from error
    for option, _ in pairs:
        if option not in _DEFAULTS:
            allowed = ", ".join(_DEFAULTS)
            raise SourceError(f"{name} option {option!r}: allowed are {allowed}")
    return _DEFAULTS | dict(pairs)
