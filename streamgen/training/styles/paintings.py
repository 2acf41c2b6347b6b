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
    """Return paint pulled along the edges, lit from the upper left where it lies thick.

    The ridges come from the picture alone: on even ground the networks, which know no positions,
    can draw no pattern at all.
    """
    tx, ty = tangents(image, sigma_px=spread_px)
    paint = smear(image, tx, ty, reach_px=reach_px)
    gx, gy = gradients(blur(luma(paint), 1.0))
    return (paint + relief * torch.tanh(6 * (gx + gy)) * (0.3 + luma(paint))).clamp(0, 1)


def oil_painting(image: Tensor) -> Tensor:
    """Rich thick paint, flattened forms, lit edges."""
    forms = kuwahara(kuwahara(image, 4), 3)
    paint = _brushed(saturate(lift(forms, 0.8), 1.6), reach_px=6, spread_px=3.0, relief=0.30)
    return contrast(paint, 1.15)


def impressionist(image: Tensor) -> Tensor:
    """Bright dabs that follow the forms, sunny lights, violet shadows."""
    colour = saturate(kuwahara(kuwahara(image, 3), 3), 1.8)
    shadow = image.new_tensor([0.36, 0.30, 0.72]).view(1, 3, 1, 1)
    depth = 0.8 * smoothstep(0.55, 0.0, luma(colour))
    colour = torch.lerp(colour, shadow.expand_as(colour), depth)
    sun = image.new_tensor([1.06, 1.0, 0.80]).view(1, 3, 1, 1)
    bright = ((0.16 + 0.90 * colour) * sun).clamp(0, 1)
    return _brushed(bright, reach_px=8, spread_px=4.0, relief=0.42)
