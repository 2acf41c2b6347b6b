"""Scenes for a small camera: smooth random colours that it can pan over, with noise of a sensor."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from streamgen.frame import Frame, Stamp


def scene(seed=0, side=128, grain=6.0):
    """Smooth colours over the whole range, four times as large as a view; float32."""
    rng = np.random.default_rng(seed)
    noise = rng.random((2 * side, 2 * side, 3), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), grain)
    low, high = smooth.min(), smooth.max()
    return (smooth - low) / (high - low) * 255


def view(of, *, at=(0.0, 0.0), noise=0.0, seed=0):
    """A square picture from (x, y) on, uint8."""
    side = of.shape[0] // 2
    to = np.array([[1, 0, -at[0]], [0, 1, -at[1]]], np.float32)
    seen = cv2.warpAffine(of, to, (side, side), flags=cv2.INTER_CUBIC)
    if noise:
        seen = seen + np.random.default_rng(seed).normal(0, noise, seen.shape)
    return np.clip(seen + 0.5, 0, 255).astype(np.uint8)


def panned(index, *, seed=0, side=16, speed=0.5):
    """A frame of a camera that pans over a scene."""
    pixels = view(scene(seed, side, side / 8), at=(speed * index, 1.0))
    stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=0)
    return Frame(pixels=pixels, stamp=stamp)


@pytest.fixture(name="scene")
def _scene():
    return scene


@pytest.fixture(name="view")
def _view():
    return view


@pytest.fixture(name="panned")
def _panned():
    return panned
