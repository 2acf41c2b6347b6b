"""Tells a cut from motion, from what a comparison of two frames has found; pure functions."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streamgen.temporal.flow import Bytes, Floats

#: Bins of each colour in a histogram.
BINS = 8
# Of two frames of one scene whose structure differs, at most this much of the colours is others':
# in eleven clips 0.13, from one clip to another at least 0.44.
OTHER_COLOURS = 0.3
# From so much of the one's structure in the other on, moved by the flow, it is one scene, whatever
# its colours: in eleven clips 0.58 at least, from one clip to another 0.62 at most.
LIKE = 0.7
# Where structure is all but lost, colours may be the same: a cut between two views of one place.
UNLIKE = 0.2


def is_cut(before: Bytes, now: Bytes, *, found: Floats) -> bool:
    """Tell whether `now` shows another scene than `before`.

    before, now: uint8 [h, w, 3]; found: `before` moved by the flow, [h, w, 3].
    """
    likeness = structure(found, now)
    if likeness >= LIKE:
        return False
    return likeness < UNLIKE or other_colours(before, now) > OTHER_COLOURS


def structure(a: Floats | Bytes, b: Floats | Bytes) -> float:
    """Return the correlation of two pictures' brightness, [h, w, 3], in [-1, 1].

    Brightness and contrast as a whole do not count, so a flash or a fade leaves it alone.
    """
    first, second = _brightness(a), _brightness(b)
    size = float(first.std() * second.std())
    # Two pictures without any structure, within the noise of a camera, are alike.
    return float((first * second).mean()) / size if size > 1.0 else 1.0


def other_colours(a: Bytes, b: Bytes) -> float:
    """Return which part of two pictures, uint8 [h, w, 3], is of colours the other lacks."""
    return float(np.abs(_histogram(a) - _histogram(b)).sum()) / 2


def _brightness(picture: Floats | Bytes) -> Floats:
    grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
    return grey - np.float32(grey.mean())


def _histogram(picture: Bytes) -> NDArray[np.float64]:
    bins = picture.reshape(-1, 3).astype(np.intp) * BINS // 256
    counts = np.bincount(bins @ np.array([BINS * BINS, BINS, 1]), minlength=BINS**3)
    shares: NDArray[np.float64] = counts / len(bins)
    return shares
