"""Image filters that styles are made of; batched, differentiable or not, on any device.

Every picture is float [B, 3, H, W] in [0, 1], every map float [B, 1, H, W].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def luma(image: Tensor) -> Tensor:
    """Return the brightness map (BT.709 weights)."""
    weights = image.new_tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)
    return (image * weights).sum(dim=1, keepdim=True)


def saturate(image: Tensor, factor: float) -> Tensor:
    """Move colours away from grey (factor > 1) or towards it."""
    grey = luma(image)
    return (grey + (image - grey) * factor).clamp(0, 1)


def contrast(image: Tensor, factor: float, *, pivot: float = 0.5) -> Tensor:
    return ((image - pivot) * factor + pivot).clamp(0, 1)


def lift(image: Tensor, gamma: float = 0.7) -> Tensor:
    """Open the shades, so that what follows does not turn dark pictures into black ones."""
    return image.clamp(1e-4, 1) ** gamma


def smoothstep(low: float, high: float, x: Tensor) -> Tensor:
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def blur(image: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur with reflected borders."""
    radius = min(max(1, round(3 * sigma_px)), image.shape[-1] - 1, image.shape[-2] - 1)
    x = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-x.square() / (2 * sigma_px**2))
    kernel = kernel / kernel.sum()
    channels = image.shape[1]
    across = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    down = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    padded = F.pad(image, (radius, radius, radius, radius), mode="reflect")
    return F.conv2d(F.conv2d(padded, across, groups=channels), down, groups=channels)


def gradients(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Return Sobel derivatives along x and y of a map, per pixel."""
    kernel = grey.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    padded = F.pad(grey, (1, 1, 1, 1), mode="reflect")
    return F.conv2d(padded, kernel[None, None]), F.conv2d(padded, kernel.mT[None, None])


def edge_strength(grey: Tensor) -> Tensor:
    """Return the gradient's length of a map, about 0.5 for a full black-white step."""
    gx, gy = gradients(grey)
    return (gx.square() + gy.square() + 1e-8).sqrt()


def ink_lines(image: Tensor, *, sigma_px: float, sharpness: float, level: float) -> Tensor:
    """Return line art, 1 on paper and 0 in lines: extended difference of Gaussians.

    Winnemöller, Kyprianidis and Olsen 2012. sharpness weighs the difference; level in [0, 1] is
    the brightness under which an area becomes black.
    """
    grey = luma(image)
    narrow, wide = blur(grey, sigma_px), blur(grey, 1.6 * sigma_px)
    response = (1 + sharpness) * narrow - sharpness * wide
    return (1 + torch.tanh(12 * (response - level)).clamp(-1, 0)).clamp(0, 1)


def kuwahara(image: Tensor, radius_px: int) -> Tensor:
    """Return, at each pixel, the mean of the calmest of its four quadrants (Kuwahara 1976)."""
    size = radius_px + 1
    stacked = torch.cat([image, luma(image).square()], dim=1)
    padded = F.pad(stacked, (radius_px, radius_px, radius_px, radius_px), mode="reflect")
    means = F.avg_pool2d(padded, size, stride=1)
    height, width = image.shape[-2:]
    corners = [
        means[..., dy : dy + height, dx : dx + width]
        for dy in (0, radius_px)
        for dx in (0, radius_px)
    ]
    quadrants = torch.stack(corners)
    variance = (
        quadrants[:, :, 3:]
        - luma(quadrants[:, :, :3].flatten(0, 1)).unflatten(0, quadrants.shape[:2]).square()
    )
    weights = torch.softmax(-variance.clamp_min(0) * 4000, dim=0)
    return (quadrants[:, :, :3] * weights).sum(dim=0)


def posterise(image: Tensor, levels: int, *, softness: float = 0.15) -> Tensor:
    """Reduce each channel to `levels` steps with soft seams."""
    scaled = image.clamp(0, 1) * (levels - 1)
    base = scaled.floor()
    step = smoothstep(0.5 - softness, 0.5 + softness, scaled - base)
    return (base + step) / (levels - 1)


def gradient_map(grey: Tensor, stops: list[tuple[float, float, float]]) -> Tensor:
    """Colour a map: equally spaced colour stops from dark to bright."""
    table = grey.new_tensor(stops)
    position = grey.clamp(0, 1) * (len(stops) - 1)
    index = position.floor().long().clamp_max(len(stops) - 2)
    share = position - index
    low, high = table[index[:, 0]], table[index[:, 0] + 1]
    return torch.lerp(low, high, share[:, 0, :, :, None]).permute(0, 3, 1, 2)


def tangents(image: Tensor, *, sigma_px: float) -> tuple[Tensor, Tensor]:
    """Return the direction of edges: minor eigenvector of the smoothed structure tensor."""
    gx, gy = gradients(luma(image))
    products = blur(torch.cat([gx * gx, gx * gy, gy * gy], dim=1), sigma_px)
    a, b, c = products[:, 0:1], products[:, 1:2], products[:, 2:3]
    angle = 0.5 * torch.atan2(2 * b, a - c + 1e-9)
    return -angle.sin(), angle.cos()


def smear(image: Tensor, tx: Tensor, ty: Tensor, *, reach_px: int) -> Tensor:
    """Average a picture along a direction field: line integral convolution (Cabral 1993)."""
    height, width = image.shape[-2:]
    axis_y = torch.linspace(-1, 1, height, device=image.device)
    axis_x = torch.linspace(-1, 1, width, device=image.device)
    y, x = torch.meshgrid(axis_y, axis_x, indexing="ij")
    step_x, step_y = tx[:, 0] * 2 / (width - 1), ty[:, 0] * 2 / (height - 1)
    total = image.clone()
    for sign in (-1, 1):
        for k in range(1, reach_px + 1):
            grid = torch.stack([x + sign * k * step_x, y + sign * k * step_y], dim=-1)
            total = total + F.grid_sample(
                image, grid, padding_mode="reflection", align_corners=True
            )
    return total / (2 * reach_px + 1)


def cell_colours(image: Tensor, cell_px: int) -> Tensor:
    """Return the mean colour of each square cell, spread over the cell; edges are padded."""
    height, width = image.shape[-2:]
    pad = (0, -width % cell_px, 0, -height % cell_px)
    means = F.avg_pool2d(F.pad(image, pad, mode="replicate"), cell_px)
    return F.interpolate(means, scale_factor=cell_px, mode="nearest")[..., :height, :width]


def shifted(image: Tensor, *, down_px: int, right_px: int) -> Tensor:
    """Return the picture moved down and right, its edge repeated."""
    height, width = image.shape[-2:]
    padded = F.pad(image, (right_px, 0, down_px, 0), mode="replicate")
    return padded[..., :height, :width]
