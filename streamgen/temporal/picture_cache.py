"""The last picture of a stream, moved along with the input and blended into the next one.

A cell of a latent cannot be moved by a part of itself: what is decoded from it has lost its fine
structure (on ten clips a third of the gradient energy, with more flicker, not less). So what moves
is carried here, by pixels, and only what stands still is kept in latents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from torch import Tensor

from streamgen.frame import Pixels
from streamgen.temporal.flow import Floats, moved
from streamgen.temporal.moment import Moment
from streamgen.temporal.motion import Motion


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """A blended picture, float32 [H, W, 3] in levels of 255, and when it was drawn."""

    picture: Floats
    moment: Moment


@dataclass(slots=True, kw_only=True, eq=False)
class PictureCache:
    """The last picture of one stream; None at the start."""

    last: Shown | None = None

    def blended(self, drawn: Pixels, moment: Moment) -> Pixels:
        """Return a picture, uint8 [H, W, 3], with some of the last one where the input is the same.

        The result is kept for the next one.
        """
        controls, last, motion = moment.controls, self.last, moment.motion
        if controls.temporal_strength == 0 or controls.temporal_motion == "still":
            self.last = None
            return drawn
        picture = drawn.astype(np.float32)
        if last is not None and motion is not None and last.picture.shape == drawn.shape:
            weight = moment.keeps(last.moment)
            if weight > 0:
                picture += (_moved(last, motion) - picture) * _weights(motion, weight, drawn)
        self.last = Shown(picture=picture, moment=replace(moment, motion=None))
        shown = cv2.convertScaleAbs(np.maximum(picture, 0.0))  # rounds and clips
        return np.asarray(shown, np.uint8)

    def forget(self) -> None:
        """Empty it: nothing of the pictures so far is seen again."""
        self.last = None


def _weights(motion: Motion, weight: float, drawn: Pixels) -> Floats:
    """Return how much of the last picture each pixel keeps, [H, W, 3]."""
    cells = weight * (1 - _array(motion.change))
    size = (drawn.shape[1], drawn.shape[0])
    found = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.merge((found, found, found)), np.float32)


def _moved(last: Shown, motion: Motion) -> Floats:
    """Return the last picture moved along; sharp, as each further one is made of it."""
    height, width = last.picture.shape[:2]
    small = _array(motion.fine)
    scale = width / small.shape[1]
    if not small.any():
        return last.picture
    flow = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)) * scale
    return moved(last.picture, flow.astype(np.float32, copy=False), by=cv2.INTER_CUBIC)


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.numpy(force=True)
    return array
