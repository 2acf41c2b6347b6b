"""Figures of one frame or of two in a row; knows nothing of videos, models and prompts.

Frames are uint8 [H, W, 3] RGB; masks are [H, W].
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from streamgen.evaluation.correspondence import Correspondence, Field, Mask, moved
from streamgen.frame import Pixels

Lab = NDArray[np.float64]

#: Side of the squares whose brightness is followed, and smoothing before edges are looked for.
CELL_PX = 8
EDGE_SIGMA = 1.0
#: Luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


def warp_error(before: Pixels, after: Pixels, known: Correspondence) -> float:
    """Return the mean squared difference of `after` and `before` moved there, levels in [0, 1].

    Over what is known; the short-term part of Lai et al. 2018 (arXiv 1808.00449), equation 4.
    0 where nothing is known.
    """
    if not known.is_known.any():
        return 0.0
    difference = (moved(before, known.flow) - after)[known.is_known] / 255
    return float(np.square(difference, dtype=np.float64).mean())


def gradient_energy(frame: Pixels, mask: Mask | None = None) -> float:
    """Return the mean squared gradient of luma in levels a pixel, in a mask or everywhere."""
    luma = luma_of(frame)
    down, across = np.gradient(luma)
    energy = np.square(down) + np.square(across)
    chosen = energy if mask is None else energy[mask]
    return float(chosen.mean(dtype=np.float64)) if chosen.size else 0.0


def edges_of(frame: Pixels) -> Field:
    """Return how strong the edges are: float32 [H, W] in levels a pixel."""
    smooth = cv2.GaussianBlur(luma_of(frame), (0, 0), EDGE_SIGMA)
    down, across = np.gradient(smooth)
    strength: Field = np.hypot(down, across)
    return strength


def correlation(a: Field, b: Field) -> float:
    """Return Pearson's correlation of two planes; 0 where one of them is flat."""
    a, b = (plane.astype(np.float64) - plane.mean(dtype=np.float64) for plane in (a, b))
    scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / scale if scale > 1e-9 else 0.0


def cells_of(frame: Pixels) -> Field:
    """Return the mean luma of each cell: float32 [H/8, W/8], in levels."""
    height, width = frame.shape[:2]
    size = (max(1, width // CELL_PX), max(1, height // CELL_PX))
    return np.asarray(cv2.resize(luma_of(frame), size, interpolation=cv2.INTER_AREA), np.float32)


def flicker_energy(first: Field, second: Field, third: Field) -> float:
    """Return the mean squared second difference of three planes in time, in levels squared.

    Scaled so that white noise gives its variance; what changes at an even pace gives 0.
    """
    bend = first - 2 * second + third
    return float(np.square(bend, dtype=np.float64).mean()) / 6


def mean_lab(frame: Pixels) -> Lab:
    """Return the mean colour in CIE L*a*b*, of L* in 0 to 100."""
    lab = np.asarray(cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float64)
    mean: Lab = lab.reshape(-1, 3).mean(axis=0)
    return mean


def luma_of(frame: Pixels) -> Field:
    """Return float32 [H, W] in [0, 255]."""
    luma: Field = frame.astype(np.float32) @ np.array(_LUMA, np.float32)
    return luma
