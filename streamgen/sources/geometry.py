"""Sizes, and how a picture of one size is placed in a frame of another; knows no pixels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from streamgen.errors import ConfigError

Fit = Literal["crop", "letterbox", "stretch"]
FITS: tuple[Fit, ...] = get_args(Fit)


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels, both at least 1."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ConfigError(f"size {self.width}x{self.height}: both sides are at least 1 pixel")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def transposed(self) -> Size:
        """The same picture lying on its side."""
        return Size(self.height, self.width)


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of pixels; x and y are those of its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """How an upright picture gets into a frame.

    scaled: what the whole picture is scaled to. crop: the part of the scaled picture that is kept.
    content: where that part lies in the frame; the rest of the frame is black.
    """

    scaled: Size
    crop: Rect
    content: Rect


def parse_size(text: str) -> Size:
    """Read "256" as 256x256 and "448x256" as width x height."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip().lower())
    if match is None:
        raise ConfigError(f"size {text!r}: write 256 or 448x256")
    return Size(int(match[1]), int(match[2] or match[1]))


def check_fit(fit: str) -> Fit:
    """Return `fit` if it is one, else say what there is."""
    for known in FITS:
        if fit == known:
            return known
    raise ConfigError(f"fit {fit!r}: choose {', '.join(FITS)}")


def upright_size(coded: Size, *, sample_aspect: Fraction | None, transpose: bool) -> Size:
    """Size that a player shows: height kept, width stretched to square pixels, then turned."""
    aspect = sample_aspect if sample_aspect and sample_aspect > 0 else Fraction(1)
    shown = Size(max(1, round(coded.width * aspect)), coded.height)
    return shown.transposed if transpose else shown


def place(source: Size, target: Size, *, fit: Fit) -> Placement:
    """Fit a picture of size `source` into frames of size `target`, centred."""
    whole = Rect(0, 0, target.width, target.height)
    if fit == "stretch":
        return Placement(scaled=target, crop=whole, content=whole)
    is_wider = source.width * target.height > source.height * target.width
    if is_wider == (fit == "crop"):  # the heights agree
        scaled = Size(max(1, round(source.width * target.height / source.height)), target.height)
    else:
        scaled = Size(target.width, max(1, round(source.height * target.width / source.width)))
    if fit == "letterbox":
        crop = Rect(0, 0, scaled.width, scaled.height)
        return Placement(scaled=scaled, crop=crop, content=_centred(scaled, target))
    return Placement(scaled=scaled, crop=_centred(target, scaled), content=whole)


def default_size(width: int, height: int, *, area: int, multiple: int) -> Size:
    """Return the size of about `area` pixels nearest to the aspect of width x height.

    Both sides of the result are multiples of `multiple`.
    """
    aspect = width / height
    ideal_width = math.sqrt(area * aspect)

    def distance(size: Size) -> float:
        shape = abs(math.log(size.width / size.height / aspect))
        return shape + 0.5 * abs(math.log(size.width * size.height / area))

    sizes = [
        Size(near_width, near_height)
        for near_width in _multiples_near(ideal_width, multiple)
        for near_height in _multiples_near(ideal_width / aspect, multiple)
    ]
    return min(sizes, key=distance)


def _multiples_near(length: float, multiple: int) -> list[int]:
    below = int(length // multiple)
    return [multiple * count for count in range(max(1, below - 1), below + 3)]


def _centred(inner: Size, outer: Size) -> Rect:
    x, y = (outer.width - inner.width) // 2, (outer.height - inner.height) // 2
    return Rect(x, y, inner.width, inner.height)
