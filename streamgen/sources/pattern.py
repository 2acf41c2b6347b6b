"""A moving test picture that depends on the frame's number only; knows no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np

from streamgen.errors import ConfigError, SourceError
from streamgen.frame import Colour, Frame, Pixels, Stamp, VideoInfo
from streamgen.sources.colour import guess_matrix
from streamgen.sources.geometry import Rect, Size, parse_size
from streamgen.sources.protocol import Source, SourceOptions

_DEFAULTS = {"frames": "endless", "size": "640x360", "rate": "30"}
_BARS = ("bfbfbf", "bfbf00", "00bfbf", "00bf00", "bf00bf", "bf0000", "0000bf")
# Each digit is 5 rows of 3 pixels, from the upper left on.
_DIGITS = (
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001001001001",
    "111101111101111",
    "111101111001111",
)
_SWEEP_FRAMES = 120
# Frames per second, so that files can count in ticks of 32 bits.
_SLOWEST, _FASTEST, _FINEST = Fraction(1, 100), Fraction(1000), 1_000_000


def open_pattern(location: str, options: SourceOptions) -> PatternSource:
    """Open test:pattern?frames=120&size=640x360&rate=30; without `frames` it never ends."""
    name, _, query = location.partition("?")
    if name != "test:pattern":
        raise SourceError(f"input {location!r}: the only test picture is test:pattern")
    if options.rate is not None:
        raise SourceError(f"rate {options.rate}: write it as test:pattern?rate={options.rate}")
    asked = _read_query(query)
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
    return PatternSource(size, rate=rate, frame_count=frame_count, clock=options.clock)


class PatternSource(Source):
    """Colour bars, a disc on its way around, and the number of the frame."""

    def __init__(
        self, size: Size, *, rate: Fraction, frame_count: int | None, clock: Callable[[], int]
    ) -> None:
        colour = Colour(matrix=guess_matrix(size.width, size.height))
        self.info = VideoInfo(
            width=size.width,
            height=size.height,
            rate=rate,
            time_base=1 / rate,
            frame_count=frame_count,
            colour=colour,
        )
        self.content = Rect(0, 0, size.width, size.height)
        self.audio: Path | None = None
        self._size = size
        self._clock = clock

    def frames(self) -> Iterator[Frame]:
        """Yield the numbered pictures, each in an array of its own."""
        bars = draw_bars(self._size)
        total = self.info.frame_count
        for index in count() if total is None else range(total):
            time_base = self.info.time_base
            stamp = Stamp(index=index, pts=index, time_base=time_base, ingest_ns=self._clock())
            yield Frame(pixels=draw(index, bars), stamp=stamp)

    def close(self) -> None:
        """Nothing is open."""


def draw_bars(size: Size) -> Pixels:
    """Return seven vertical colour bars at 75 %, uint8 [H, W, 3]."""
    colours = np.array([list(bytes.fromhex(bar)) for bar in _BARS], np.uint8)
    row = colours[np.arange(size.width) * len(_BARS) // size.width]
    return np.ascontiguousarray(np.broadcast_to(row, (size.height, size.width, 3)))


def draw(index: int, bars: Pixels) -> Pixels:
    """Return a copy of `bars` with the disc where it is in frame `index`, and the number."""
    pixels = bars.copy()
    height, width = pixels.shape[:2]
    angle = 2 * math.pi * index / _SWEEP_FRAMES
    x, y = width * (0.5 + 0.35 * math.cos(angle)), height * (0.5 + 0.35 * math.sin(angle))
    radius = min(width, height) / 8
    rows, columns = np.ogrid[:height, :width]
    pixels[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2] = 255
    _draw_number(index, pixels)
    return pixels


def _draw_number(index: int, pixels: Pixels) -> None:
    """Write six digits, white on black, in the upper left corner."""
    scale = max(1, min(pixels.shape[0] // 40, pixels.shape[1] // 80))
    box = np.zeros((7, 25), np.uint8)
    for place, digit in enumerate(f"{index % 1_000_000:06d}"):
        glyph = np.array([int(dot) for dot in _DIGITS[int(digit)]], np.uint8).reshape(5, 3)
        box[1:6, 1 + 4 * place : 4 + 4 * place] = glyph * 255
    large = box.repeat(scale, axis=0).repeat(scale, axis=1)[: pixels.shape[0], : pixels.shape[1]]
    pixels[: large.shape[0], : large.shape[1]] = large[..., None]


def _read_query(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise SourceError(f"test:pattern option {query!r}: write name=value") from error
    for name, _ in pairs:
        if name not in _DEFAULTS:
            allowed = ", ".join(_DEFAULTS)
            raise SourceError(f"test:pattern option {name!r}: allowed are {allowed}")
    return _DEFAULTS | dict(pairs)
