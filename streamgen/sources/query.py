"""The options behind the '?' of a location, as in test:pattern?rate=30; knows no source."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from urllib.parse import parse_qsl

from streamgen.errors import ConfigError, SourceError
from streamgen.sources.geometry import Size, parse_size
from streamgen.sources.protocol import SourceOptions

# Frames per second, so that files can count in ticks of 32 bits.
_SLOWEST, _FASTEST, _FINEST = Fraction(1, 100), Fraction(1000), 1_000_000


def read_query(name: str, query: str, defaults: Mapping[str, str]) -> dict[str, str]:
    """Read a=1&b=2 with the defaults of what is not there; SourceError for another option."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise SourceError(f"{name} option {query!r}: write name=value") from error
    for option, _ in pairs:
        if option not in defaults:
            allowed = ", ".join(defaults)
            raise SourceError(f"{name} option {option!r}: allowed are {allowed}")
    return {**defaults, **dict(pairs)}


def read_rate(text: str, location: str) -> Fraction:
    """Read frames per second; SourceError where a file cannot count in them."""
    allowed = f"from {_SLOWEST} to {_FASTEST}, with at most 6 decimals"
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise SourceError(f"input {location!r}: rate {text}: allowed is {allowed}") from error
    if not _SLOWEST <= rate <= _FASTEST or rate.denominator > _FINEST:
        raise SourceError(f"input {location!r}: rate {text}: allowed is {allowed}")
    return rate


def read_size(text: str, location: str) -> Size:
    """Read 640x360; SourceError names the location it belongs to."""
    try:
        return parse_size(text)
    except ConfigError as error:
        raise SourceError(f"input {location!r}: {error}") from error


def refuse_rate(name: str, options: SourceOptions) -> None:
    """Raise SourceError where the rate of a folder is asked of what has its own."""
    if options.rate is not None:
        raise SourceError(f"rate {options.rate}: write it as {name}?rate={options.rate}")
