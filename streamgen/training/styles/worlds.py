"""Styles of colour and light: cyberpunk, vaporwave, thermal, golden hour, old film; palettes.

The worlds calm the picture first: grain is more than the autoencoder can carry, and a drawing of
clean areas beats a blurred photograph.
"""

from __future__ import annotations

import torch
from torch import Tensor

from streamgen.training.styles.filters import (
    blur,
    contrast,
    edge_strength,
    gradient_map,
    kuwahara,
    lift,
    luma,
    saturate,
    smoothstep,
)


def _tint(image: Tensor, red: float, green: float, blue: float) -> Tensor:
    return (image * image.new_tensor([red, green, blue]).view(1, 3, 1, 1)).clamp(0, 1)


def cyberpunk(image: Tensor) -> Tensor:
    """Dark city night: blue-violet shade, magenta and cyan light, glowing rims."""
    image = kuwahara(image, 3)
    grey = contrast(lift(luma(image)), 1.3, pivot=0.55)
    stops = [
        (0.02, 0.01, 0.08),
        (0.16, 0.03, 0.32),
        (0.62, 0.06, 0.58),
        (0.98, 0.25, 0.66),
        (0.45, 0.95, 1.0),
    ]
    night = gradient_map(grey, stops)
    night = torch.lerp(night, saturate(image, 1.6) * night.amax(dim=1, keepdim=True), 0.25)
    rims = smoothstep(0.04, 0.2, blur(edge_strength(luma(lift(image))), 0.8))
    glow = blur(rims, 3.0)
    cyan = image.new_tensor([0.05, 0.90, 1.0]).view(1, 3, 1, 1)
    return (night + cyan * (0.55 * rims + 0.35 * glow)).clamp(0, 1)


def vaporwave(image: Tensor) -> Tensor:
    """Pastel pink, lilac and turquoise, soft and bright."""
    image = kuwahara(image, 2)
    stops = [(0.26, 0.12, 0.50), (0.78, 0.36, 0.80), (1.0, 0.62, 0.80), (0.62, 0.94, 0.95)]
    soft = 0.7 * image + 0.3 * blur(image, 3.0)
    mapped = gradient_map(contrast(luma(soft), 1.1), stops)
    return torch.lerp(mapped, saturate(soft, 1.2), 0.18).clamp(0, 1)


def thermal(image: Tensor) -> Tensor:
    """A heat camera: cold violet through red to white hot."""
    image = kuwahara(image, 2)
    stops = [
        (0.0, 0.0, 0.10),
        (0.30, 0.02, 0.50),
        (0.78, 0.12, 0.36),
        (0.98, 0.50, 0.04),
        (1.0, 0.96, 0.62),
    ]
    return gradient_map(contrast(blur(luma(image), 1.5), 1.2), stops)


def golden_hour(image: Tensor) -> Tensor:
    """Low warm sun: glowing lights, brown shade."""
    image = kuwahara(image, 3)
    warm = _tint(contrast(image, 1.1), 1.18, 0.92, 0.58)
    glow = _tint(blur(smoothstep(0.5, 1.0, image), 4.0), 0.45, 0.30, 0.08)
    lift = image.new_tensor([0.06, 0.03, 0.0]).view(1, 3, 1, 1)
    return (warm + glow + lift).clamp(0, 1)


def old_film(image: Tensor) -> Tensor:
    """Faded sepia print with soft focus."""
    image = kuwahara(image, 2)
    grey = contrast(0.75 * luma(image) + 0.25 * blur(luma(image), 2.0), 1.15)
    return gradient_map(grey, [(0.13, 0.09, 0.06), (0.55, 0.43, 0.29), (0.96, 0.89, 0.74)])


def warm(image: Tensor) -> Tensor:
    return _tint(image, 1.14, 1.0, 0.80)


def cool(image: Tensor) -> Tensor:
    return _tint(image, 0.82, 0.98, 1.18)


def pastel(image: Tensor) -> Tensor:
    return (0.38 + 0.62 * saturate(image, 0.85)).clamp(0, 1)


def vivid(image: Tensor) -> Tensor:
    return saturate(contrast(image, 1.12), 1.7)


def muted(image: Tensor) -> Tensor:
    return contrast(saturate(image, 0.4), 0.9)


def dark(image: Tensor) -> Tensor:
    """Night: dim and a little blue."""
    return _tint(image**1.35, 0.50, 0.54, 0.68)


def bright(image: Tensor) -> Tensor:
    """High key: shades lifted."""
    return 1 - (1 - image).clamp(0, 1) ** 1.6
