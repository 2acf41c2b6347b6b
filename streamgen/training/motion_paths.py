"""Ways of cameras and things over canvases, drawn at random, and the flow that follows from them.

A pose maps a pixel of a frame, measured from its middle, to one of the canvas from its middle, as
in `evaluation.camera_paths`; here poses are tensors [F, 3, 3] and each way is of another kind.
Knows nothing of pictures.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Share of ways on which nothing moves: people sit before a camera.
STILL_SHARE = 0.2
#: Most that a way may do in one frame: pan in sides of the frame, turn in radians, zoom in powers
#: of e; slow ways are commoner.
PAN, TURN, ZOOM = 0.025, math.radians(1.5), 0.02
#: Deviation of a trembling hand, in sides of the frame.
TREMBLE = 0.004


def random_way(count: int, side_px: int, generator: torch.Generator) -> Tensor:
    """Return poses [count, 3, 3], float64: a steady way and a tremble, through the middle."""
    middle = torch.arange(count, dtype=torch.float64) - (count - 1) / 2
    if _number(0, 1, generator) < STILL_SHARE:
        return torch.eye(3, dtype=torch.float64).expand(count, 3, 3).clone()
    pace = _number(0, 1, generator) ** 2
    heading = _number(0, 2 * math.pi, generator)
    away = PAN * side_px * pace * _eased(middle, generator)
    noise = torch.randn(2, count, generator=generator, dtype=torch.float64)
    shake = TREMBLE * side_px * _number(-1, 1, generator) * noise.cumsum(1).tanh()
    x, y = away * math.cos(heading) + shake[0], away * math.sin(heading) + shake[1]
    angle = TURN * _number(-1, 1, generator) ** 3 * middle
    scale = (ZOOM * _number(-1, 1, generator) ** 3 * middle).exp()
    return poses(x, y, angle=angle, scale=scale)


def poses(x: Tensor, y: Tensor, *, angle: Tensor, scale: Tensor) -> Tensor:
    """Return poses [F, 3, 3] that look at x, y in pixels, turned, and scale times nearer."""
    c, s = angle.cos() / scale, angle.sin() / scale
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    rows = [torch.stack(row, dim=-1) for row in ((c, -s, x), (s, c, y), (zero, zero, one))]
    return torch.stack(rows, dim=-2)


def places(way: Tensor, side_px: int) -> Tensor:
    """Return where the pixels of each frame are on the canvas: [F, side, side, 2], from its middle.

    way: [F, 3, 3].
    """
    axis = torch.arange(side_px, dtype=torch.float64) - (side_px - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    here = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    return torch.einsum("fij,hwj->fhwi", way, here)[..., :2]


def backward_flow(way: Tensor, side_px: int) -> Tensor:
    """Return, of every frame but the first, how far away its pixels were in the one before.

    way: [F, 3, 3]; returns [F - 1, side, side, 2] in pixels, x first.
    """
    steps = torch.linalg.inv(way[:-1]) @ way[1:]
    still = torch.eye(3, dtype=way.dtype).expand(1, 3, 3)
    return places(steps, side_px) - places(still, side_px)


def _eased(middle: Tensor, generator: torch.Generator) -> Tensor:
    """Return how far one is: some ways are steady, some swing."""
    if _number(0, 1, generator) < 0.6:
        return middle
    period, phase = _number(8, 40, generator), _number(0, 2 * math.pi, generator)
    swing: Tensor = period / (2 * math.pi) * (2 * math.pi * middle / period + phase).sin()
    return swing


def _number(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
