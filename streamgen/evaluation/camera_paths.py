"""Ways of a camera over a photo, frame by frame; knows nothing of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

#: 3x3, from pixels of a frame, measured from its middle, to those of the photo from its middle.
Pose = NDArray[np.float64]
Path = Callable[[int], Pose]


def still(side: int, seed: int) -> Path:
    """A camera on a tripod."""
    return lambda index: np.eye(3)


def pan(side: int, seed: int) -> Path:
    """There and back at 0.6 % of the side a frame."""
    reach, angle = 0.2 * side, np.random.default_rng([seed, 2]).uniform(0, 2 * math.pi)

    def pose(index: int) -> Pose:
        away = _to_and_fro(0.006 * side * index, reach)
        return shift(away * math.cos(angle), away * math.sin(angle))

    return pose


def zoom(side: int, seed: int) -> Path:
    """In by a quarter and out again, 0.7 % a frame."""
    return lambda index: _turned(0.0, math.exp(_to_and_fro(0.007 * index, 0.22)))


def rotate(side: int, seed: int) -> Path:
    """15 degrees to either side, half a degree a frame."""
    reach = math.radians(15)
    return lambda index: _turned(_to_and_fro(math.radians(0.5) * index, reach), 1.0)


def handheld(side: int, seed: int) -> Path:
    """A hand that trembles: slow swaying and fast shaking, in place and angle."""
    rng = np.random.default_rng([seed, 3])
    phases = rng.uniform(0, 2 * math.pi, (3, 3))
    waves = ((90, 0.03), (23, 0.008), (7, 0.0025))

    def sway(axis: int, index: int) -> float:
        return sum(
            share * math.sin(2 * math.pi * index / period + phases[axis, wave])
            for wave, (period, share) in enumerate(waves)
        )

    def pose(index: int) -> Pose:
        return shift(side * sway(0, index), side * sway(1, index)) @ _turned(sway(2, index), 1.0)

    return pose


PATHS: Mapping[str, Callable[[int, int], Path]] = {
    "pan": pan,
    "handheld": handheld,
    "zoom": zoom,
    "still": still,
    "rotate": rotate,
}


def shift(x: float, y: float) -> Pose:
    """Return the pose that looks this far to the right and down."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _turned(angle: float, scale: float) -> Pose:
    c, s = math.cos(angle) / scale, math.sin(angle) / scale
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _to_and_fro(way: float, reach: float) -> float:
    """Return where one is after a way between -reach and reach, from 0."""
    return abs((way + reach) % (4 * reach) - 2 * reach) - reach if reach else 0.0
