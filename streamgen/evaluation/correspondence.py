"""Where each pixel of a frame was in the frame before it, and where nobody can tell.

Flow for measuring: at full size and slower than what a stream may use for itself, so that a
stream is not measured by its own estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any  # OpenCV's classes are not typed

import cv2
import numpy as np
from numpy.typing import NDArray

from streamgen.frame import Pixels

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Bounds of Sundaram et al. 2010 (ECCV), as Ruder et al. 2016 (arXiv 1604.08610, equations 5
#: and 6) and Lai et al. 2018 (arXiv 1808.00449) use them, in pixels squared.
AGREES_SHARE, AGREES_FLOOR = 0.01, 0.5
EDGE_SHARE, EDGE_FLOOR = 0.01, 0.002
#: Full resolution and 20 rounds in place of the preset's half and 5: over clips of known flow the
#: error that is left is 3.0 levels (RMS) in place of 3.6, where the true flow leaves 2.8.
FINEST_SCALE, REFINEMENTS = 0, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Correspondence:
    """Backward flow of a frame.

    flow: float32 [H, W, 2], for each pixel the offset (dx, dy) to its place in the frame before.
    is_known: [H, W], False where it was hidden, outside the frame, or at the edge of a motion.
    """

    flow: Field
    is_known: Mask


def estimate(before: Pixels, after: Pixels) -> Correspondence:
    """Return where the pixels of `after` were in `before`: DIS (Kroeger et al. 2016), both ways."""
    search: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(FINEST_SCALE)
    search.setVariationalRefinementIterations(REFINEMENTS)
    old, new = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after))
    backward, forward = _plane(search.calc(new, old, None)), _plane(search.calc(old, new, None))
    return Correspondence(flow=backward, is_known=_agrees(backward, forward) & _is_smooth(backward))


def moved(before: NDArray[Any], flow: Field) -> Field:
    """Return what was in `before`, [H, W] or [H, W, C], moved to its place now: float32."""
    return sampled(before, flow, cv2.INTER_CUBIC)


def sampled(before: NDArray[Any], flow: Field, interpolation: int = cv2.INTER_LINEAR) -> Field:
    """Return a plane or picture at the places where a flow ends; its border goes on outside."""
    places = places_of(flow)
    return _plane(
        cv2.remap(
            before.astype(np.float32),
            places[..., 0],
            places[..., 1],
            interpolation,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def is_inside(flow: Field) -> Mask:
    """Return where a flow ends within the frame: [H, W]."""
    height, width = flow.shape[:2]
    there = places_of(flow)
    x, y = there[..., 0], there[..., 1]
    inside: Mask = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside


def places_of(flow: Field) -> Field:
    """Return where a flow ends: float32 [H, W, 2], in pixels from the left and the top."""
    height, width = flow.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    places: Field = (grid + flow).astype(np.float32)
    return places


def _agrees(backward: Field, forward: Field) -> Mask:
    """Return where going there and back ends at the start."""
    there = sampled(forward, backward)
    miss = np.square(there + backward).sum(axis=-1)
    length = np.square(there).sum(axis=-1) + np.square(backward).sum(axis=-1)
    agrees: Mask = miss <= AGREES_SHARE * length + AGREES_FLOOR
    return agrees & is_inside(backward)


def _is_smooth(flow: Field) -> Mask:
    """Return where a flow is not at the edge of a motion."""
    down, across = np.gradient(flow, axis=(0, 1))
    change = np.square(down).sum(axis=-1) + np.square(across).sum(axis=-1)
    smooth: Mask = change <= EDGE_SHARE * np.square(flow).sum(axis=-1) + EDGE_FLOOR
    return smooth


def _plane(array: Any) -> Field:
    """Return what OpenCV gives, whose annotations know no element types."""
    return np.asarray(array, np.float32)
