"""Styles of paint: watercolour, oil, impressionist strokes."""

from __future__ import annotations

import torch
from torch import Tensor

from streamgen.training.styles.filters import (
    blur,
    contrast,
    edge_strength,
    gradients,
    kuwahara,
    lift,
    luma,
    repeating_noise,
    saturate,
    smear,
    smoothstep,
    tangents,
)


def watercolor(image: Tensor) -> Tensor:
    """Thin bright washes that run together, dark rims of pigment, white paper."""
    wash = blur(kuwahara(kuwahara(image, 4), 3), 0.9)
    rims = smoothstep(0.03, 0.16, blur(edge_strength(luma(wash)), 0.8))
    thin = 1 - (1 - saturate(wash, 1.5)).clamp(0, 1) ** 1.25 * 0.82
    light = smoothstep(0.55, 0.9, luma(wash))
    paper = image.new_tensor([0.99, 0.98, 0.95]).view(1, 3, 1, 1)
    thin = torch.lerp(thin, paper.expand_as(thin), 0.6 * light)
    pigment = saturate(wash, 1.6) * 0.55
    return torch.lerp(thin, pigment, 0.75 * rims).clamp(0, 1)


def _brushed(image: Tensor, *, reach_px: int, spread_px: float, relief: float) -> Tensor:
    """Return paint pulled along the edges, lit so that the bristles show."""
    tx, ty = tangents(image, sigma_px=spread_px)
    bristles = smear(
        repeating_noise(image).expand(len(image), -1, -1, -1), tx, ty, reach_px=reach_px
    )
    gx, gy = gradients(bristles)
    paint = smear(image, tx, ty, reach_px=reach_px)
    return (paint + relief * (gx + gy) + 0.25 * relief * bristles).clamp(0, 1)


def oil_painting(image: Tensor) -> Tensor:
    """Rich thick paint, flattened forms, bristle relief."""
    forms = kuwahara(kuwahara(image, 5), 4)
    return contrast(
        _brushed(saturate(lift(forms, 0.8), 1.5), reach_px=6, spread_px=3.0, relief=0.55), 1.15
    )


def impressionist(image: Tensor) -> Tensor:
    """Loose broken strokes of bright colour with violet shadows."""
    colour = saturate(kuwahara(image, 3), 1.9)
    shadow = image.new_tensor([0.36, 0.30, 0.62]).view(1, 3, 1, 1)
    depth = 0.55 * smoothstep(0.45, 0.0, luma(colour))
    colour = torch.lerp(colour, shadow.expand_as(colour), depth)
    sun = image.new_tensor([1.06, 1.0, 0.86]).view(1, 3, 1, 1)
    bright = (0.16 + 0.92 * colour) * sun
    return _brushed(bright.clamp(0, 1), reach_px=9, spread_px=5.0, relief=1.1)
