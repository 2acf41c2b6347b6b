"""How a stored picture is turned to stand upright: display matrices and EXIF; knows no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamgen.frame import Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """First swap rows with columns if `transpose`, then mirror left-right and top-bottom."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def turn(self, pixels: Pixels) -> Pixels:
        """Return an upright view of [H, W, 3] pixels; nothing is copied."""
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        return pixels[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


UPRIGHT = Orientation()

_EXIF = {
    1: UPRIGHT,
    2: Orientation(flip_x=True),
    3: Orientation(flip_x=True, flip_y=True),
    4: Orientation(flip_y=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, flip_x=True),
    7: Orientation(transpose=True, flip_x=True, flip_y=True),
    8: Orientation(transpose=True, flip_y=True),
}

_ANGLES = {
    0: UPRIGHT,
    90: Orientation(transpose=True, flip_y=True),
    180: Orientation(flip_x=True, flip_y=True),
    270: Orientation(transpose=True, flip_x=True),
}


def from_exif(tag: int) -> Orientation:
    """Read the EXIF tag 274; values outside 1..8 mean upright."""
    return _EXIF.get(tag, UPRIGHT)


def from_angle(degrees: float) -> Orientation:
    """Read a counter-clockwise rotation, rounded to a quarter turn."""
    return _ANGLES[round(degrees / 90) % 4 * 90]


def from_display_matrix(matrix: Sequence[int]) -> Orientation:
    """Read a display matrix (a b u, c d v, x y w: x' = a x + c y, y' = b x + d y).

    Rotations that are no quarter turns go to the nearest one.
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)
