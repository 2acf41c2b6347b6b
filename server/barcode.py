"""A number in the pixels of a picture, for measuring; survives scaling, 4:2:0 and low bit rates.

The strip lies at the top of the largest centred square, whose side is s, in two rows of sixteen
cells of s/16 x s/16. So it is still there after a picture was cropped to a square, or scaled to
another size of its own shape. White is 1. Cells from left to right, upper row first:

    0: white   1-14: bits 19 to 6 of the number                     15: black
   16: black  17-22: bits 5 to 0   23-30: 250 - number % 251       31: white
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from streamgen.frame import Pixels

MAX_NUMBER = 2**20 - 1

_COLUMNS = 16
_CHECK = 251  # the largest prime of 8 bits: finds any one or two wrong bits
_LEAST_CONTRAST = 64.0
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def write(pixels: Pixels, number: int) -> None:
    """Draw a number into a picture, in place; pixels: uint8 [H, W, 3] RGB, sides from 32."""
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"barcode {number}: choose 0 to {MAX_NUMBER}")
    for (top, bottom, left, right), bit in zip(_cells(pixels), _bits(number), strict=True):
        pixels[top:bottom, left:right] = 255 * bit


def read(pixels: Pixels) -> int | None:
    """Return the number in a picture; None where there is none, or it cannot be trusted."""
    if min(pixels.shape[:2]) < 2 * _COLUMNS:
        return None
    levels = np.array([_level(pixels, cell) for cell in _cells(pixels)], np.float32)
    black, white = max(levels[15], levels[16]), min(levels[0], levels[31])
    if white - black < _LEAST_CONTRAST:
        return None
    bits: list[int] = (levels > (black + white) / 2).astype(int).tolist()
    number = _joined(bits[1:15] + bits[17:23])
    return number if bits == _bits(number) else None


class Numbers:
    """Which number was read from which frame; only the last ones are kept."""

    def __init__(self, keep: int = 512) -> None:
        self._keep = keep
        self._numbers: OrderedDict[int, int] = OrderedDict()

    def note(self, index: int, number: int) -> None:
        """Remember the number of a frame by its index."""
        self._numbers[index] = number
        while len(self._numbers) > self._keep:
            self._numbers.popitem(last=False)

    def of(self, index: int) -> int | None:
        """Return the number of a frame, None if it bore none or is long gone."""
        return self._numbers.get(index)


def _bits(number: int) -> list[int]:
    bits = [number >> place & 1 for place in reversed(range(20))]
    check = _CHECK - 1 - number % _CHECK
    return [1, *bits[:14], 0, 0, *bits[14:], *(check >> place & 1 for place in range(7, -1, -1)), 1]


def _joined(bits: list[int]) -> int:
    return sum(bit << place for place, bit in enumerate(reversed(bits)))


def _cells(pixels: Pixels) -> list[tuple[int, int, int, int]]:
    """Return top, bottom, left and right of every cell, in pixels."""
    height, width = pixels.shape[:2]
    side = min(width, height)
    x, y = (width - side) / 2, (height - side) / 2
    edges: NDArray[np.float64] = np.arange(_COLUMNS + 1) * side / _COLUMNS
    across = [round(x + edge) for edge in edges]
    down = [round(y + edge) for edge in edges[:3]]
    return [
        (down[row], down[row + 1], across[column], across[column + 1])
        for row in range(2)
        for column in range(_COLUMNS)
    ]


def _level(pixels: Pixels, cell: tuple[int, int, int, int]) -> float:
    """Return the mean brightness in the middle of a cell, away from its neighbours."""
    top, bottom, left, right = cell
    inset_y, inset_x = (bottom - top) // 4, (right - left) // 4
    middle = pixels[top + inset_y : bottom - inset_y, left + inset_x : right - inset_x]
    mean: NDArray[np.float32] = middle.reshape(-1, 3).mean(axis=0, dtype=np.float32)
    return float(mean @ _LUMA)
