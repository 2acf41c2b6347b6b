"""A picture with shapes of every size, to be moved under a known camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamgen.frame import Pixels


@pytest.fixture(scope="session")
def photo() -> Pixels:
    rng = np.random.default_rng(7)
    picture = np.zeros((240, 240, 3), np.float32)
    for scale in (3, 8, 30, 80):
        coarse = rng.uniform(-1, 1, (scale, scale, 3)).astype(np.float32)
        picture += cv2.resize(coarse, (240, 240), interpolation=cv2.INTER_CUBIC) * 60
    cv2.rectangle(picture, (30, 60), (110, 170), (90, -90, 40), -1)
    cv2.circle(picture, (170, 110), 40, (-60, 80, 90), -1)
    pixels: Pixels = np.clip(picture + 128, 0, 255).astype(np.uint8)
    return pixels
