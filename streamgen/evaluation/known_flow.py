"""Clips whose motion is known to the pixel: a photo under a moving camera, and something before it.

Sensor noise lies over everything, as in a camera. The same seed gives the same clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamgen.evaluation.camera_paths import PATHS, Path, Pose, shift
from streamgen.evaluation.correspondence import Correspondence, Field, Mask, is_inside, sampled
from streamgen.frame import Pixels

#: Side of the photo in sides of the frame; paths stay inside.
MARGIN = 1.5
#: Deviation of the sensor noise, in levels.
NOISE_LEVELS = 2.0
#: Radius of what passes before the camera, in sides of the frame, and its way in frames.
OCCLUDER_RADIUS, OCCLUDER_PERIOD = 0.12, 60
#: Pixels around an edge between near and far of which nothing is claimed: they mix both.
EDGE_PX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownClip:
    """frames: with noise. known: of every frame but the first, exact."""

    name: str
    frames: list[Pixels]
    known: list[Correspondence]


def known_clips(
    photos: Mapping[str, Pixels], *, side: int, count: int, seed: int = 0
) -> Iterable[KnownClip]:
    """Yield a clip for each photo, the camera paths in turn; photos: uint8 [H, W, 3] by name."""
    paths = list(PATHS.items())
    for number, (name, photo) in enumerate(photos.items()):
        path_name, path = paths[number % len(paths)]
        clip = known_clip(photo, path(side, seed + number), side=side, count=count, seed=seed)
        yield KnownClip(name=f"{name} {path_name}", frames=clip.frames, known=clip.known)


def known_clip(
    photo: Pixels,
    path: Path,
    *,
    side: int,
    count: int,
    seed: int = 0,
    noise_levels: float = NOISE_LEVELS,
) -> KnownClip:
    """Return `count` square frames of a photo along a path."""
    ground = _fitted(photo, round(side * MARGIN))
    # Another part of the photo in other colours: textured, and never taken for the background.
    patch = np.ascontiguousarray(ground[::-1, ::-1, ::-1])
    rng = np.random.default_rng([seed, 1])
    frames: list[Pixels] = []
    known: list[Correspondence] = []
    for index in range(count):
        seen = _seen(ground, path(index))
        near = _occluder(side, index)
        there = _seen(patch, shift(*(-near.centre)))
        clean = np.where(near.mask[..., None], there, seen)
        noisy = clean + rng.normal(0.0, noise_levels, clean.shape)
        frames.append(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
        if index:
            known.append(_truth(path(index), path(index - 1), near, _occluder(side, index - 1)))
    return KnownClip(name="known", frames=frames, known=known)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Occluder:
    """Where the thing before the camera is: its middle from the frame's, and its pixels."""

    centre: NDArray[np.float64]
    mask: Mask


def _occluder(side: int, index: int) -> _Occluder:
    """A disc that goes around the frame on an ellipse."""
    turn = 2 * math.pi * index / OCCLUDER_PERIOD
    centre = np.array([0.35 * side * math.cos(turn), 0.25 * side * math.sin(turn)])
    x, y = _grid(side)
    away = np.hypot(x - centre[0], y - centre[1])
    return _Occluder(centre=centre, mask=away <= OCCLUDER_RADIUS * side)


def _truth(now: Pose, before: Pose, near: _Occluder, near_before: _Occluder) -> Correspondence:
    """Return where pixels were: those of the disc go with it, the others with the camera."""
    side = near.mask.shape[0]
    x, y = _grid(side)
    step = np.linalg.inv(before) @ now
    there_x, there_y, _ = np.tensordot(step, np.stack([x, y, np.ones_like(x)]), axes=1)
    far = np.stack([there_x - x, there_y - y], axis=-1)
    flow = np.where(near.mask[..., None], near_before.centre - near.centre, far).astype(np.float32)
    was_near = _sampled(near_before.mask, flow)
    is_same = np.where(near.mask, was_near > 0.999, was_near < 0.001)
    kernel = np.ones((2 * EDGE_PX + 1,) * 2, np.uint8)
    edge = cv2.morphologyEx(near.mask.astype(np.uint8), cv2.MORPH_GRADIENT, kernel).astype(bool)
    known: Mask = is_same & ~edge & is_inside(flow)
    return Correspondence(flow=flow, is_known=known)


def _sampled(mask: Mask, flow: Field) -> Field:
    """Return how much of a mask, widened by the edge, is where a flow ends."""
    return np.asarray(cv2.blur(sampled(mask, flow), (2 * EDGE_PX + 1,) * 2), np.float32)


def _seen(ground: Field, pose: Pose) -> Field:
    """Return float32 frame of the photo from a pose; the photo is square."""
    wide = ground.shape[0]
    side = round(wide / MARGIN)
    there = shift((wide - 1) / 2, (wide - 1) / 2) @ pose @ shift(*((-(side - 1) / 2,) * 2))
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(
        ground, there[:2], (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(seen, np.float32)


def _fitted(photo: Pixels, wide: int) -> Field:
    """Return the middle of a photo as float32 [wide, wide, 3], a little soft as lenses are."""
    short = min(photo.shape[:2])
    top, left = ((length - short) // 2 for length in photo.shape[:2])
    square = photo[top : top + short, left : left + short]
    way = cv2.INTER_AREA if short > wide else cv2.INTER_CUBIC
    small = cv2.resize(square, (wide, wide), interpolation=way).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.7), np.float32)


def _grid(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axis = np.arange(side) - (side - 1) / 2
    x, y = np.meshgrid(axis, axis)
    return x, y
