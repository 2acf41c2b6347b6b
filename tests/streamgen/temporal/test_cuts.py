"""Cuts between scenes made here, and over real clips where STREAMGEN_CLIPS names their folder."""

import os
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from streamgen.temporal.motion import MotionEstimator

EACH = 40


def cuts(frames):
    estimator = MotionEstimator(cells=(16, 16))
    motions = [estimator.see(frame) for frame in frames]
    return [index for index, motion in enumerate(motions) if motion is not None and motion.is_cut]


def test_another_scene_is_a_cut(scene, view):
    first, second = scene(1), scene(2)
    frames = [view(first, at=(k, 0)) for k in range(4)] + [
        view(second, at=(k, 0)) for k in range(4)
    ]

    assert cuts(frames) == [4]


def test_a_flash_and_a_fast_pan_are_no_cuts(scene, view):
    ground = scene(1)
    flash = np.clip(view(ground, at=(0, 0)) * 0.5 + 120, 0, 255).astype(np.uint8)

    assert cuts([view(ground), flash, view(ground), view(ground, at=(12, 3))]) == []


def test_something_large_that_comes_in_is_no_cut(scene, view):
    frames = [view(scene(1)).copy() for _ in range(6)]
    for k, frame in enumerate(frames):
        frame[30:100, : 12 * k] = (20, 160, 60)

    assert cuts(frames) == []


@pytest.fixture(scope="module")
def clips():
    paths = sorted(Path(os.environ.get("STREAMGEN_CLIPS", "/nowhere")).glob("*.mp4"))
    if not paths:
        pytest.skip("STREAMGEN_CLIPS names no folder with clips")
    return [first_frames(path) for path in paths]


def first_frames(path):
    with av.open(str(path)) as container:
        decoded = islice(container.decode(video=0), EACH)
        return [frame.reformat(128, 128, format="rgb24").to_ndarray() for frame in decoded]


def test_real_clips_have_no_cut_inside_and_one_wherever_two_are_joined(clips):
    joined = [frame for clip in clips for frame in clip]
    starts = np.cumsum([len(clip) for clip in clips])[:-1].tolist()

    assert cuts(joined) == starts
