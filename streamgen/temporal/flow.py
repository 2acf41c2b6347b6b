"""Optical flow between two small pictures, and pictures moved by it; knows no streams.

Dense inverse search (Kroeger et al. 2016, arXiv 1603.03590), as OpenCV has it: a 128 x 128 picture
takes it 0.1 to 0.4 ms a direction on one core.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

# On smaller pictures its coarsest level has no room for a patch, and OpenCV crashes.
_LEAST = 64
# The refinement: side of its windows, how often, and how far it goes each time at most.
_WINDOW_PX, _ROUNDS, _STEP_PX = 13, 2, 0.5


def estimate_flow(before: Bytes, now: Bytes) -> Floats:
    """Return where each pixel of `now` was in `before`, (dx, dy) in pixels, [h, w, 2].

    Both are uint8 [h, w] of one size. The way there alone: what the way back would tell, that a
    pixel was hidden before, is seen in colours that do not match, and took half of the time.
    """
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    height, width = now.shape
    first, second = _padded(before), _padded(now)
    found = _floats(finder.calc(second, first, np.zeros((*second.shape, 2), np.float32)))
    return _refined(found, second, first)[:height, :width]


def length(flow: Floats) -> Floats:
    """Return how long the vectors of a flow are, [h, w]."""
    return _floats(cv2.magnitude(flow[:, :, 0], flow[:, :, 1]))


def _refined(flow: Floats, now: Bytes, before: Bytes) -> Floats:
    """Return a flow made more exact by least squares over windows (Lucas and Kanade 1981).

    On eleven clips it halves the error; what is carried on from picture to picture blurs by it.
    """
    gx = cv2.Scharr(now, cv2.CV_32F, 1, 0, scale=1 / 32)
    gy = cv2.Scharr(now, cv2.CV_32F, 0, 1, scale=1 / 32)
    xx, xy, yy = _window(gx * gx) + 1.0, _window(gx * gy), _window(gy * gy) + 1.0
    determinant = xx * yy - xy * xy
    for _ in range(_ROUNDS):
        apart = now - moved(before, flow)
        bx, by = _window(gx * apart), _window(gy * apart)
        steps = ((yy * bx - xy * by) / determinant, (xx * by - xy * bx) / determinant)
        flow = flow + np.clip(_floats(cv2.merge(steps)), -_STEP_PX, _STEP_PX)
    return flow


def _window(values: object) -> Floats:
    return _floats(cv2.blur(np.asarray(values, np.float32), (_WINDOW_PX, _WINDOW_PX)))


def moved(picture: Bytes | Floats, flow: Floats, *, by: int = cv2.INTER_LINEAR) -> Floats:
    """Return a picture, [h, w, ...], as it looks after each pixel came from where `flow` says.

    by: OpenCV's interpolation; where the flow is 0 each gives the picture bit for bit.
    """
    height, width = flow.shape[:2]
    there = cv2.add(flow, _places(height, width))
    source = np.asarray(picture, np.float32)
    found = cv2.remap(source, there, None, by, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]  # one map for both
    return _floats(found)


@lru_cache(maxsize=8)
def _places(height: int, width: int) -> Floats:
    """Return where each pixel is, (x, y), [h, w, 2]."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return _floats(cv2.merge((x, y)))


def leaves(flow: Floats) -> NDArray[np.bool_]:
    """Tell of which pixels the flow says that they were outside of the picture; [h, w]."""
    height, width = flow.shape[:2]
    x, y = cv2.split(cv2.add(flow, _places(height, width)))
    outside: NDArray[np.bool_] = (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)
    return outside


def _padded(picture: Bytes) -> Bytes:
    height, width = picture.shape
    down, right = max(_LEAST - height, 0), max(_LEAST - width, 0)
    if not (down or right):
        return picture
    return np.pad(picture, ((0, down), (0, right)), mode="edge")


def _floats(array: object) -> Floats:
    """Tell the type checker what OpenCV gives."""
    assert isinstance(array, np.ndarray)
    return array.astype(np.float32, copy=False)
