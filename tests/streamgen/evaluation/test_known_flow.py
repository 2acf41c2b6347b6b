from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from streamgen.evaluation.camera_paths import PATHS
from streamgen.evaluation.correspondence import estimate
from streamgen.evaluation.figures import warp_error
from streamgen.evaluation.known_flow import KnownClip, known_clip, known_clips
from streamgen.frame import Pixels

SIDE = 96


def clip_of(photo: Pixels, path: str, *, noise_levels: float = 0.0, seed: int = 0) -> KnownClip:
    return known_clip(
        photo,
        PATHS[path](SIDE, 1),
        side=SIDE,
        count=8,
        seed=seed,
        noise_levels=noise_levels,
    )


def levels(clip: KnownClip) -> float:
    """Return the warp error as RMS levels."""
    pairs = zip(pairwise(clip.frames), clip.known, strict=True)
    errors = [warp_error(before, after, known) for (before, after), known in pairs]
    return float(np.sqrt(np.mean(errors)) * 255)


@pytest.mark.parametrize("path", list(PATHS))
def test_the_true_flow_explains_the_clip(photo: Pixels, path: str) -> None:
    clip = clip_of(photo, path)

    assert levels(clip) < 1.5
    assert all(0.85 < known.is_known.mean() < 1 for known in clip.known)


@pytest.mark.parametrize("path", ["pan", "still"])
def test_what_the_true_flow_leaves_is_the_sensors_noise(photo: Pixels, path: str) -> None:
    clean, noisy = (levels(clip_of(photo, path, noise_levels=level)) for level in (0.0, 3.0))

    # Moving by parts of a pixel smooths the noise of the frame before.
    expected = np.sqrt(clean**2 + 2 * 3.0**2)
    assert 0.8 * expected < noisy < 1.05 * expected


def test_a_wrong_flow_is_told_from_the_true_one(photo: Pixels) -> None:
    clip = clip_of(photo, "pan")
    still = clip_of(photo, "still")

    wrong = KnownClip(name="wrong", frames=clip.frames, known=still.known)

    assert levels(wrong) > 2 * levels(clip)


def test_the_estimated_flow_is_near_the_true_one(photo: Pixels) -> None:
    clip = clip_of(photo, "pan", noise_levels=1.0)

    misses = []
    for (before, after), known in zip(pairwise(clip.frames), clip.known, strict=True):
        found = estimate(before, after)
        both = found.is_known & known.is_known
        misses.append(np.linalg.norm(found.flow - known.flow, axis=-1)[both].mean())

    assert np.mean(misses) < 0.3


def test_something_passes_before_the_camera_with_a_motion_of_its_own(photo: Pixels) -> None:
    known = clip_of(photo, "still").known[3]

    is_moving = np.linalg.norm(known.flow, axis=-1) > 0.5
    assert 0.02 < is_moving.mean() < 0.1
    # Of what it uncovers nobody knows where it was.
    assert not known.is_known.all()


def test_the_same_seed_gives_the_same_clip_and_another_another_noise(photo: Pixels) -> None:
    one, same, other = (clip_of(photo, "handheld", noise_levels=2.0, seed=k) for k in (0, 0, 1))

    assert all(np.array_equal(a, b) for a, b in zip(one.frames, same.frames, strict=True))
    assert not np.array_equal(one.frames[0], other.frames[0])


def test_photos_take_the_camera_paths_in_turn(photo: Pixels) -> None:
    photos = {str(number): photo for number in range(len(PATHS) + 1)}

    names = [clip.name for clip in known_clips(photos, side=SIDE, count=2)]

    assert names == [*(f"{k} {path}" for k, path in enumerate(PATHS)), f"{len(PATHS)} pan"]


@pytest.mark.parametrize("path", list(PATHS))
def test_a_camera_never_looks_beyond_the_photo(path: str) -> None:
    side, corner = 100, 49.5
    corners = np.array([(x, y, 1) for x in (-corner, corner) for y in (-corner, corner)]).T

    reach = [np.abs((PATHS[path](side, 5)(k) @ corners)[:2]).max() for k in range(400)]

    assert max(reach) <= 1.5 * side / 2
