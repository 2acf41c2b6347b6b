"""How much one picture differs from another, as numbers; knows nothing of models and prompts.

Frames are uint8 [H, W, 3] RGB.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from streamgen.errors import ConfigError
from streamgen.frame import Pixels

Plane = NDArray[np.float32]

#: SSIM's window and constants (Wang et al. 2004, IEEE TIP 13(4), section III).
SSIM_SIZE = 11
SSIM_SIGMA = 1.5
SSIM_K1 = 0.01
SSIM_K2 = 0.03
#: Smoothing before and after edges are looked for, in pixels of a picture of 256x256; other sizes
#: scale it. The first is just above sensor noise. The second makes one place of the two sides of a
#: stroke, of a line and its outline, and of hatching.
EDGE_SIGMA = 1.0
EDGE_SPREAD = 4.0
EDGE_SIDE = 256
#: Levels a pixel, again at 256x256, below which the strongest edges are noise, not shape.
EDGE_FLOOR = 0.5
#: Luma of ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


def mean_difference(a: Pixels, b: Pixels) -> float:
    """Return mean |a - b| in levels, from 0 to 255."""
    _check(a, b)
    return float(np.abs(a.astype(np.int16) - b).mean())


def psnr(a: Pixels, b: Pixels) -> float:
    """Return the peak signal-to-noise ratio in dB, of all channels; infinite for equal frames."""
    _check(a, b)
    squares = float(np.square(a.astype(np.float64) - b).mean())
    return 10 * math.log10(255**2 / squares) if squares else math.inf


def ssim(a: Pixels, b: Pixels) -> float:
    """Return the structural similarity of the lumas, in [-1, 1]."""
    _check(a, b)
    return _ssim(_luma(a), _luma(b), peak=255.0)


def edge_ssim(a: Pixels, b: Pixels) -> float:
    """Return the structural similarity of the edge maps, in [-1, 1]: whether shapes are kept.

    About 0 for pictures that have nothing to do with each other, whatever their colours.
    """
    _check(a, b)
    return _ssim(torch.from_numpy(edge_map(a)), torch.from_numpy(edge_map(b)), peak=1.0)


def edge_map(frame: Pixels) -> Plane:
    """Return where the edges are: float32 [H, W] in [0, 1], 1 for the strongest hundredth.

    Each frame is its own measure, so that a drawing with darker lines has the same map.
    """
    luma = _luma(frame)
    scale = math.sqrt(luma.numel()) / EDGE_SIDE
    smooth = _blur(luma, EDGE_SIGMA * scale)
    step = torch.tensor([-1.0, 0.0, 1.0])
    ramp = torch.tensor([1.0, 2.0, 1.0])
    padded = F.pad(smooth[None, None], (1, 1, 1, 1), mode="replicate")
    # Sobel's kernel over 8, so that the answer is in levels a pixel.
    across, down = (
        F.conv2d(padded, torch.outer(rows, columns)[None, None] / 8)
        for rows, columns in ((ramp, step), (step, ramp))
    )
    strength = _blur(torch.hypot(across, down)[0, 0], EDGE_SPREAD * scale)
    strongest = max(float(np.percentile(strength.numpy(), 99)), EDGE_FLOOR / scale)
    result: Plane = (strength / strongest).clamp(max=1.0).numpy()
    return result


def _check(a: Pixels, b: Pixels) -> None:
    """Raise ConfigError unless both are frames of one size."""
    for frame in (a, b):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ConfigError(f"frame {frame.shape} {frame.dtype}: a frame is uint8 [H, W, 3]")
    if a.shape != b.shape:
        sizes = (f"{frame.shape[1]}x{frame.shape[0]}" for frame in (a, b))
        raise ConfigError(f"frames of {' and '.join(sizes)}: only frames of one size are compared")


def _luma(frame: Pixels) -> Tensor:
    """Return float32 [H, W] in [0, 255]."""
    return torch.from_numpy(frame @ np.array(_LUMA, np.float32))


def _gaussian(sigma: float, size: int) -> Tensor:
    offsets = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()


def _separable(planes: Tensor, weights: Tensor) -> Tensor:
    """Filter [B, 1, H, W] along both axes, where the window fits."""
    weights = weights.to(planes)
    return F.conv2d(F.conv2d(planes, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))


def _blur(plane: Tensor, sigma: float) -> Tensor:
    """Smooth [H, W]; the border is repeated outward."""
    reach = max(1, round(3 * sigma))
    padded = F.pad(plane[None, None], (reach,) * 4, mode="replicate")
    return _separable(padded, _gaussian(sigma, 2 * reach + 1))[0, 0]


def _ssim(a: Tensor, b: Tensor, *, peak: float) -> float:
    """Return the mean SSIM index of two planes (Wang et al. 2004, equation 13)."""
    if min(a.shape) < SSIM_SIZE:
        size = f"{a.shape[1]}x{a.shape[0]}"
        raise ConfigError(f"frames of {size}: both sides have at least {SSIM_SIZE} pixels")
    # Variances are differences of large squares: in float32 a bright flat picture loses them.
    a, b = a.double(), b.double()
    weights = _gaussian(SSIM_SIGMA, SSIM_SIZE)
    moments = _separable(torch.stack([a, b, a * a, b * b, a * b])[:, None], weights)
    mean_a, mean_b, square_a, square_b, product = moments
    c1, c2 = (SSIM_K1 * peak) ** 2, (SSIM_K2 * peak) ** 2
    covariance = product - mean_a * mean_b
    variances = square_a - mean_a**2 + square_b - mean_b**2
    index = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    index = index / ((mean_a**2 + mean_b**2 + c1) * (variances + c2))
    return float(index.mean())
