"""Styles of pieces: pixel art, stained glass, paper cut, gold relief."""

from __future__ import annotations

import torch
from torch import Tensor

from streamgen.training.styles.filters import (
    blur,
    cell_colours,
    contrast,
    edge_strength,
    gradient_map,
    gradients,
    kuwahara,
    lift,
    luma,
    posterise,
    saturate,
    shifted,
    smoothstep,
)

#: Side of every regular piece: one latent pixel, the longest period that a network without
#: positions can draw.
CELL_PX = 8


def pixel_art(image: Tensor) -> Tensor:
    """Square pixels in a small bright palette."""
    blocks = cell_colours(contrast(image, 1.2), CELL_PX)
    return saturate(posterise(blocks, 5, softness=0.4), 1.35)


def stained_glass(image: Tensor) -> Tensor:
    """Glowing panes that follow the picture, amber and blue for grey, between black lead."""
    calm = kuwahara(kuwahara(lift(image), 4), 3)
    rims = blur(edge_strength(luma(calm)) + 0.5 * edge_strength(calm[:, :1]), 2.0)
    lead = smoothstep(0.015, 0.08, rims)
    glass = saturate(contrast(calm, 1.25), 2.4)
    colourless = 1 - smoothstep(0.0, 0.3, calm.amax(dim=1, keepdim=True) - calm.amin(1, True))
    stops = [(0.04, 0.08, 0.42), (0.05, 0.42, 0.62), (0.85, 0.55, 0.12), (1.0, 0.86, 0.45)]
    glass = torch.lerp(glass, gradient_map(luma(calm), stops), 0.7 * colourless)
    glass = glass * (0.6 + 0.55 * (1 - blur(lead, 3.0)))
    return torch.lerp(glass.clamp(0, 1), torch.full_like(image, 0.03), lead)


def paper_cut(image: Tensor) -> Tensor:
    """Sheets of coloured paper in five layers that throw shadows on each other."""
    tone = blur(luma(kuwahara(kuwahara(lift(image, 0.8), 4), 3)), 2.0)
    layer = posterise(tone, 5, softness=0.2)
    papers = [
        (0.10, 0.16, 0.30),
        (0.14, 0.42, 0.48),
        (0.90, 0.42, 0.32),
        (0.97, 0.76, 0.42),
        (0.99, 0.95, 0.87),
    ]
    above = shifted(layer, down_px=4, right_px=4) - layer
    shade = blur(smoothstep(0.02, 0.2, above), 1.5)
    return gradient_map(layer, papers) * (1 - 0.55 * shade)


def gold_relief(image: Tensor) -> Tensor:
    """Beaten gold, lit from the upper left."""
    calm = blur(luma(kuwahara(lift(image, 0.8), 3)), 1.2)
    gx, gy = gradients(calm)
    slope = torch.tanh(12 * (gx + gy))
    metal = (0.22 + 0.36 * calm + 0.42 * slope).clamp(0, 1)
    stops = [(0.12, 0.06, 0.02), (0.52, 0.31, 0.06), (0.90, 0.66, 0.20), (1.0, 0.97, 0.78)]
    return gradient_map(metal, stops)
