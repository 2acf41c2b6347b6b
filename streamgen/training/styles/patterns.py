"""Styles of pieces: pixel art, mosaic, stained glass, low poly."""

from __future__ import annotations

import torch
from torch import Tensor

from streamgen.training.styles.filters import (
    cell_colours,
    contrast,
    lift,
    pixel_grid,
    posterise,
    saturate,
    smoothstep,
)

#: Side of the smallest piece: one latent pixel.
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
    """Glowing saturated panes, shifted like bricks, in black lead."""
    side = 2 * CELL_PX
    y, x = pixel_grid(image)
    odd = (y // side) % 2
    shifted = torch.roll(image, CELL_PX, dims=-1)
    even_panes = cell_colours(image, side)
    odd_panes = torch.roll(cell_colours(shifted, side), -CELL_PX, dims=-1)
    panes = torch.where(odd == 1, odd_panes, even_panes)
    u = (x + CELL_PX * odd) % side - (side - 1) / 2
    v = y % side - (side - 1) / 2
    rim = torch.maximum(u.abs(), v.abs()) / (side / 2)
    glow = 1.15 - 0.35 * rim.square()
    lead = smoothstep(0.78, 0.9, rim)
    glass = saturate(contrast(lift(panes), 1.3), 2.2) * glow
    return torch.lerp(glass.clamp(0, 1), torch.full_like(image, 0.04), lead)


def low_poly(image: Tensor) -> Tensor:
    """Flat triangles: each square cell cut along a diagonal, alternating."""
    side = 2 * CELL_PX
    y, x = pixel_grid(image)
    u, v = (x % side + 0.5) / side, (y % side + 0.5) / side
    mirrored = ((x // side + y // side) % 2).bool()
    upper = torch.where(mirrored, u + v < 1, u > v).to(image)
    low, high = _triangle_means(image, 1 - upper, side), _triangle_means(image, upper, side)
    faces = torch.where(upper.bool(), high * 1.07, low * 0.93)
    return saturate(contrast(faces.clamp(0, 1), 1.15), 1.4)


def _triangle_means(image: Tensor, mask: Tensor, side: int) -> Tensor:
    """Return the mean colour over the masked part of each cell, spread over the cell."""
    height, width = image.shape[-2:]
    weighted = cell_colours(torch.cat([image * mask, mask.expand(len(image), -1, -1, -1)], 1), side)
    return (weighted[:, :3] / weighted[:, 3:].clamp_min(1e-3))[..., :height, :width]
