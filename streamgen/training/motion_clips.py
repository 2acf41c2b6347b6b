"""Short clips with known flow, each beside itself in a style, coherent by construction.

A camera goes over a canvas and things pass before it, cut from canvases of their own. A style is
drawn on whole canvases, once, and both versions are seen along the same ways: what is wanted of a
frame is what was wanted of the one before, moved along the flow. Only the source has sensor noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from streamgen.training.motion_paths import backward_flow, places, random_way
from streamgen.training.photos import PhotoCrops
from streamgen.training.scenes import pink_noise

#: Side of the canvas in sides of the frame; beyond it the picture is mirrored.
MARGIN = 1.5
#: Most things that pass, and their radius in sides of the frame.
THINGS, RADII = 2, (0.12, 0.35)
#: Deviation of the strongest sensor noise, of pictures in [0, 1], and of exposure from frame to
#: frame.
SENSOR_NOISE, EXPOSURE = 0.025, 0.01
#: How much of a pixel must belong to the same thing in both frames for its flow to be claimed.
SURE = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One clip of F frames, float32 on the device of the pictures.

    source: [F, 3, H, W] in [0, 1], with noise; styled: what is wanted, the same shape. flow:
    [F - 1, 2, H, W], of every frame but the first how far away (x, y), in pixels, its pixels were
    in the one before; is_known: bool [F - 1, 1, H, W], where that is so.
    """

    source: Tensor
    styled: Tensor
    flow: Tensor
    is_known: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """What moves as one: source over styled, [1, 6, side, side]; its outline, [1, 1, side, side].

    way: [F, 3, 3].
    """

    canvas: Tensor
    outline: Tensor
    way: Tensor


def draw_clip(
    crops: PhotoCrops, style: Callable[[Tensor], Tensor], *, frames: int, side_px: int
) -> Clip:
    """Draw one clip; all that is random comes from the generator of the crops.

    style: pictures [B, 3, H, W] in [0, 1] → what is wanted of them.
    """
    generator = crops.generator
    wide = round(side_px * MARGIN)
    count = 1 + int(torch.randint(0, THINGS + 1, (), generator=generator))
    canvases = crops.draw(count, wide)
    outlines = torch.ones(count, 1, wide, wide, device=canvases.device)
    for number in range(1, count):
        outlines[number : number + 1] = _outline(wide, side_px, generator).to(canvases.device)
    # Behind its outline a thing goes on in its own mean colour: so a style draws the contour too.
    ground = canvases.mean(dim=(2, 3), keepdim=True)
    canvases = torch.lerp((1 - ground).clamp(0.1, 0.9), canvases, _widened(outlines))
    both = torch.cat([canvases, style(canvases).clamp(0, 1)], dim=1)
    layers = [
        _Layer(
            canvas=both[k : k + 1],
            outline=outlines[k : k + 1],
            way=_way(frames, side_px, generator, is_thing=k > 0),
        )
        for k in range(count)
    ]
    return _seen(layers, side_px, generator)


def _way(frames: int, side_px: int, generator: torch.Generator, *, is_thing: bool) -> Tensor:
    """Return a way; things start anywhere in the frame.

    The canvas begins pixel on pixel: a style that depends on the place, as squares do, is then
    drawn in the first frame as in a single picture.
    """
    way = random_way(frames, side_px, generator)
    way = torch.matmul(way[0].inverse(), way)
    if is_thing:
        spot = (torch.rand(2, generator=generator) - 0.5) * 0.8 * side_px
        way[:, :2, 2] -= spot.round()
    return way


def _outline(wide: int, side_px: int, generator: torch.Generator) -> Tensor:
    """Return the mask of a roundish thing in the middle of its canvas: [1, 1, wide, wide]."""
    axis = torch.arange(wide) - (wide - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    low, high = RADII
    radius = side_px * (low + (high - low) * float(torch.rand((), generator=generator)))
    angle = torch.atan2(y, x)
    for lobes in (2, 3, 5):
        depth, phase = torch.rand(2, generator=generator).tolist()
        radius = radius * (1 + 0.5 * depth / lobes * (lobes * angle + 2 * math.pi * phase).sin())
    ragged = pink_noise(1, wide, 1.6, generator)[0, 0] * 0.02 * side_px
    return torch.sigmoid(2 * (radius + ragged - torch.hypot(x, y)))[None, None]


def _widened(outline: Tensor) -> Tensor:
    return F.max_pool2d(outline, 3, stride=1, padding=1)


def _seen(layers: list[_Layer], side_px: int, generator: torch.Generator) -> Clip:
    """Lay the layers over each other, the last on top, in every frame."""
    device = layers[0].canvas.device
    frames = len(layers[0].way)
    pictures = torch.zeros(frames, 6, side_px, side_px, device=device)
    owner = torch.zeros(frames, len(layers), side_px, side_px, device=device)
    flow = torch.zeros(frames - 1, 2, side_px, side_px, device=device)
    for number, layer in enumerate(layers):
        at = places(layer.way, side_px)
        share = _sampled(layer.outline, at, "bilinear", outside="zeros" if number else "border")
        if number == 0:
            share = torch.ones_like(share)
        pictures = torch.lerp(pictures, _sampled(layer.canvas, at, "bicubic"), share)
        owner = owner * (1 - share)
        owner[:, number] = share[:, 0]
        step = backward_flow(layer.way, side_px).permute(0, 3, 1, 2).float().to(device)
        flow = torch.where(share[1:] > 0.5, step, flow)
    source, styled = pictures.clamp(0, 1).chunk(2, dim=1)
    return Clip(
        source=_sensed(source, generator),
        styled=styled,
        flow=flow,
        is_known=_is_known(owner, flow),
    )


def _sampled(canvas: Tensor, at: Tensor, mode: str, outside: str = "reflection") -> Tensor:
    """Return a canvas [1, C, side, side] at places [F, h, w, 2] measured from its middle."""
    grid = (at * 2 / canvas.shape[-1]).float().to(canvas.device)
    many = canvas.expand(len(at), -1, -1, -1)
    return F.grid_sample(many, grid, mode=mode, padding_mode=outside, align_corners=False)


def _is_known(owner: Tensor, flow: Tensor) -> Tensor:
    """Return where a pixel is of one layer, and was of the same where its flow ends."""
    before, inside = moved(owner[:-1], flow), moved(torch.ones_like(owner[:-1, :1]), flow)
    same = (owner[1:] > SURE) & (before > SURE)
    known: Tensor = same.any(dim=1, keepdim=True) & (inside > 0.999)
    return known


def moved(before: Tensor, flow: Tensor) -> Tensor:
    """Return what was before, [N, C, h, w], where it is now; 0 where it was outside.

    flow: [N, 2, h, w] in pixels of the same size.
    """
    height, width = before.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device),
        torch.arange(width, device=flow.device),
        indexing="ij",
    )
    there_x = (2 * (x + flow[:, 0]) + 1) / width - 1
    there_y = (2 * (y + flow[:, 1]) + 1) / height - 1
    grid = torch.stack([there_x, there_y], dim=-1).to(before.dtype)
    return F.grid_sample(before, grid, padding_mode="zeros", align_corners=False)


def _sensed(source: Tensor, generator: torch.Generator) -> Tensor:
    """Put on what a camera does from frame to frame: noise, and a little change of exposure."""
    level = SENSOR_NOISE * float(torch.rand((), generator=generator)) ** 2
    noise = torch.randn(source.shape, generator=generator).to(source.device)
    wander = torch.randn(len(source), 1, 1, 1, generator=generator).to(source.device)
    return (source * (1 + EXPOSURE * wander * level / SENSOR_NOISE) + level * noise).clamp(0, 1)
