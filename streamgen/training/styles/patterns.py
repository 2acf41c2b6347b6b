"""Styles of pieces: pixel art, mosaic, stained glass, low poly."""

from __future__ import annotations

import torch
from torch import Tensor

from streamgen.training.styles.filters import (
    blur,
    cell_colours,
    contrast,
    edge_strength,
    kuwahara,
    lift,
    luma,
    pixel_grid,
    posterise,
    saturate,
    smoothstep,
)

#: Side of every regular piece: one latent pixel, the longest period that a network without
#: positions can draw.
CELL_PX = 8


def pixel_art(image: Tensor) -> Tensor:
    """Square pixels in a small bright palette."""
    blocks = cell_colours(contrast(image, 1.2), CELL_PX)
    return saturate(posterise(blocks, 6, softness=0.2), 1.35)


def mosaic(image: Tensor) -> Tensor:
    """Bevelled square tiles in pale grout."""
    tiles = saturate(cell_colours(image, CELL_PX), 1.4)
    y, x = pixel_grid(image)
    u, v = x % CELL_PX, y % CELL_PX
    bevel = 0.10 * ((u == 1) | (v == 1)).to(image) - 0.14 * ((u == 7) | (v == 7)).to(image)
    grout = ((u == 0) | (v == 0)).to(image)
    pale = image.new_tensor([0.90, 0.87, 0.80]).view(1, 3, 1, 1).expand_as(image)
    return torch.lerp((tiles + bevel).clamp(0, 1), pale, grout)


def stained_glass(image: Tensor) -> Tensor:
    """Glowing saturated panes that follow the picture, between lines of black lead."""
    calm = kuwahara(kuwahara(lift(image), 6), 5)
    tone = posterise(blur(luma(calm), 1.5), 5, softness=0.02)
    joints = smoothstep(0.015, 0.06, blur(edge_strength(tone), 0.8))
    rims = smoothstep(0.03, 0.12, blur(edge_strength(luma(calm)), 1.0))
    lead = torch.maximum(joints, rims)
    inside = 1 - blur(lead, 3.0)
    glass = saturate(contrast(calm, 1.25), 2.4) * (0.62 + 0.5 * inside)
    return torch.lerp(glass.clamp(0, 1), torch.full_like(image, 0.03), lead)


def low_poly(image: Tensor) -> Tensor:
    """Flat facets: each square cell cut along its diagonal, one half lit, one in shade."""
    y, x = pixel_grid(image)
    upper = (x % CELL_PX > y % CELL_PX).to(image)
    low, high = _triangle_means(image, 1 - upper), _triangle_means(image, upper)
    faces = torch.where(upper.bool(), high * 1.12, low * 0.88)
    return saturate(contrast(faces.clamp(0, 1), 1.15), 1.4)


def _triangle_means(image: Tensor, mask: Tensor) -> Tensor:
    """Return the mean colour over the masked part of each cell, spread over the cell."""
    height, width = image.shape[-2:]
    both = torch.cat([image * mask, mask.expand(len(image), -1, -1, -1)], dim=1)
    weighted = cell_colours(both, CELL_PX)
    return (weighted[:, :3] / weighted[:, 3:].clamp_min(1e-3))[..., :height, :width]
