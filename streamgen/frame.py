"""A picture, where it came from, and what is known of the video it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Matrix = Literal["bt601", "bt709", "bt2020"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Where a frame came from; an output carries the stamp of its own input.

    index: number of the frame in its source, from 0.
    pts: presentation time in units of `time_base` seconds.
    capture_ns: clock of the camera if it tells one; ingest_ns: our monotonic clock at arrival;
    tick_ns: the same clock when the model took the frame up, None before.
    revision: of the controls that the frame was drawn with.
    """

    index: int
    pts: int
    time_base: Fraction
    ingest_ns: int
    capture_ns: int | None = None
    tick_ns: int | None = None
    revision: int = 0

    @property
    def seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture: uint8 [H, W, 3] RGB, full range, C-contiguous, and its stamp."""

    pixels: Pixels
    stamp: Stamp

    def __post_init__(self) -> None:
        shape, dtype = self.pixels.shape, self.pixels.dtype
        if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
            raise ValueError(f"frame {shape} {dtype}: a frame is uint8 [H, W, 3]")

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    def redrawn(self, pixels: Pixels, *, revision: int) -> Frame:
        """Return the frame that answers this one: other pixels, the same stamp."""
        return Frame(pixels=pixels, stamp=replace(self.stamp, revision=revision))


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank:
    """A frame without a picture, drawn from words alone: only its stamp."""

    stamp: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """How the YUV of a video means RGB, and RGB light: read from the source, written to the sink.

    primaries, transfer: numbers of ITU-T H.273, None where those that go with the matrix are
    meant. Pixels are never converted between them: HDR stays HDR, with its tag.
    """

    matrix: Matrix
    full_range: bool = False
    primaries: int | None = None
    transfer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a source knows of its video before the first frame.

    width, height: of the frames it delivers. rate: average frames per second, None if unknown.
    frame_count: None if unknown or endless.
    """

    width: int
    height: int
    rate: Fraction | None
    time_base: Fraction
    frame_count: int | None
    colour: Colour
