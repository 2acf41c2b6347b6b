"""A moving test picture that depends on the frame's number only; knows no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from streamgen.errors import SourceError
from streamgen.frame import Frame, Pixels, VideoInfo
from streamgen.sources.geometry import Rect, Size
from streamgen.sources.made import read_made, stamps
from streamgen.sources.protocol import Source, SourceOptions

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


def open_pattern(location: str, options: SourceOptions) -> PatternSource:
    """Open test:pattern?frames=120&size=640x360&rate=30; without `frames` it never ends."""
    name, _, query = location.partition("?")
    if name != "test:pattern":
        raise SourceError(f"input {location!r}: the only test picture is test:pattern")
    return PatternSource(read_made(name, query, options), clock=options.clock)


class PatternSource(Source):
    """Colour bars, a disc on its way around, and the number of the frame."""

    def __init__(self, info: VideoInfo, *, clock: Callable[[], int]) -> None:
        self.info = info
        self.content = Rect(0, 0, info.width, info.height)
        self.audio: Path | None = None
        self._clock = clock

    def frames(self) -> Iterator[Frame]:
        """Yield the numbered pictures, each in an array of its own."""
        bars = draw_bars(Size(self.info.width, self.info.height))
        for stamp in stamps(self.info, self._clock):
            yield Frame(pixels=draw(stamp.index, bars), stamp=stamp)

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
