"""Procedural pictures on the training device: dead leaves, gradients, noise, strokes.

Occluding shapes of random size have the scale statistics of photographs ("dead leaves", Lee,
Mumford and Huang 2001; Baradad et al. 2021, arXiv 2106.05963), which is what an autoencoder has
to learn.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def draw_scenes(count: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Draw `count` different scenes.

    Returns float32 [count, 3, size_px, size_px] in [0, 1] on the generator's device.
    """
    image = _background(count, size_px, generator)
    for layer in range(int(_integers(14, 40, generator))):
        image = _add_shape(image, shrink=1.0 / (1.0 + 0.12 * layer), generator=generator)
    if _chance(0.4, generator):
        image = _add_strokes(image, generator)
    return _develop(image, generator)


def pink_noise(count: int, size_px: int, exponent: float, generator: torch.Generator) -> Tensor:
    """Return [count, 1, size, size] noise of spectrum 1/f^exponent, zero mean, unit variance."""
    device = generator.device
    white = torch.randn(count, 1, size_px, size_px, generator=generator, device=device)
    fy = torch.fft.fftfreq(size_px, device=device)[:, None]
    fx = torch.fft.rfftfreq(size_px, device=device)[None, :]
    gain = (fy.square() + fx.square()).sqrt().clamp_min(1.0 / size_px).pow(-exponent)
    noise: Tensor = torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(size_px, size_px))
    centred = noise - noise.mean(dim=(2, 3), keepdim=True)
    return centred / centred.std(dim=(2, 3), keepdim=True).clamp_min(1e-6)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Return [count, 1, 1, 1] uniform numbers."""
    values = torch.rand(count, 1, 1, 1, generator=generator, device=generator.device)
    return low + (high - low) * values


def _integers(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high, (), generator=generator, device=generator.device))


def _chance(probability: float, generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator, device=generator.device) < probability)


def _colour(count: int, generator: torch.Generator) -> Tensor:
    """Return [count, 3, 1, 1] colours, half of them greyish as in photographs."""
    colour = torch.rand(count, 3, 1, 1, generator=generator, device=generator.device)
    grey = colour.mean(dim=1, keepdim=True)
    return grey + (colour - grey) * _uniform(count, 0.0, 1.0, generator)


def _grid(size_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return y, x of every pixel, [1, 1, size, size] in [-1, 1]."""
    axis = torch.linspace(-1.0, 1.0, size_px, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return y[None, None], x[None, None]


def _texture(count: int, size_px: int, generator: torch.Generator) -> Tensor:
    """Return [count, 3, size, size] textures around zero: noise, stripes or checks."""
    y, x = _grid(size_px, generator.device)
    angle = _uniform(count, 0.0, math.pi, generator)
    pitch = _uniform(count, 2.0, 5.0, generator).exp()
    u = pitch * (x * angle.cos() + y * angle.sin())
    v = pitch * (y * angle.cos() - x * angle.sin())
    noise = pink_noise(count, size_px, 0.6 + 1.2 * float(_uniform(1, 0, 1, generator)), generator)
    patterns = torch.stack(
        [noise, u.sin(), u.sin().sign() * v.sin().sign() * 0.7, u.sin() * v.sin()]
    )
    pick = torch.randint(0, 6, (count,), generator=generator, device=generator.device).clamp_max(4)
    chosen = patterns[(pick % 4), torch.arange(count, device=generator.device)]
    tint = _colour(count, generator) - 0.5
    return chosen * (0.4 * tint + 0.12) * _uniform(count, 0.0, 1.0, generator)


def _background(count: int, size_px: int, generator: torch.Generator) -> Tensor:
    y, x = _grid(size_px, generator.device)
    angle = _uniform(count, 0.0, 2 * math.pi, generator)
    ramp = (x * angle.cos() + y * angle.sin()) * 0.5 + 0.5
    image = _colour(count, generator) * ramp + _colour(count, generator) * (1 - ramp)
    return image + _texture(count, size_px, generator)


def _add_shape(image: Tensor, *, shrink: float, generator: torch.Generator) -> Tensor:
    """Put one shaded, textured superellipse or bar with a soft shadow on each picture."""
    count, _, size_px, _ = image.shape
    y, x = _grid(size_px, image.device)
    cx, cy = _uniform(count, -1.2, 1.2, generator), _uniform(count, -1.2, 1.2, generator)
    angle = _uniform(count, 0.0, math.pi, generator)
    u = (x - cx) * angle.cos() + (y - cy) * angle.sin()
    v = (y - cy) * angle.cos() - (x - cx) * angle.sin()
    bend = _uniform(count, -0.8, 0.8, generator)
    v = v + bend * u.square()
    radius = shrink * _uniform(count, -2.6, -0.1, generator).exp()
    aspect = _uniform(count, 0.15, 1.0, generator)
    power = _uniform(count, 0.4, 2.2, generator).exp()
    distance = (u.abs() / radius).pow(power) + (v.abs() / (radius * aspect)).pow(power)
    distance = distance.clamp_min(1e-6).pow(1.0 / power)
    sharpness = size_px * radius * 0.5 * _uniform(count, -2.0, 0.3, generator).exp().clamp_max(1.0)
    mask = torch.sigmoid((1.0 - distance) * sharpness * 4.0)
    shade = 1.0 + _uniform(count, -0.5, 0.5, generator) * (u / radius).clamp(-1, 1)
    fill = _colour(count, generator) * shade + _texture(count, size_px, generator)
    shadow = torch.sigmoid((1.15 - distance) * 8.0) * _uniform(count, 0.0, 0.5, generator)
    return image * (1 - shadow) * (1 - mask) + fill * mask


def _add_strokes(image: Tensor, generator: torch.Generator) -> Tensor:
    """Write thin curved strokes, as of letters, hair, twigs and cables."""
    count, _, size_px, _ = image.shape
    y, x = _grid(size_px, image.device)
    for _ in range(_integers(2, 10, generator)):
        angle = _uniform(count, 0.0, math.pi, generator)
        u = x * angle.cos() + y * angle.sin() - _uniform(count, -0.8, 0.8, generator)
        v = y * angle.cos() - x * angle.sin() - _uniform(count, -0.8, 0.8, generator)
        wave = _uniform(count, 0.0, 0.3, generator) * (_uniform(count, 1, 12, generator) * u).sin()
        width = _uniform(count, 0.7, 3.0, generator) / size_px
        line = torch.sigmoid((width - (v - wave).abs()) * size_px)
        extent = torch.sigmoid((_uniform(count, 0.05, 0.8, generator) - u.abs()) * size_px * 0.5)
        image = image + line * extent * (_colour(count, generator) - image)
    return image


def _develop(image: Tensor, generator: torch.Generator) -> Tensor:
    """Imitate a camera: blur of some pictures, exposure, contrast, sensor noise."""
    count, _, size_px, _ = image.shape
    blurred = F.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
    image = torch.lerp(image, blurred, _uniform(count, -0.5, 1.0, generator).clamp_min(0.0))
    image = (image - 0.5) * _uniform(count, 0.6, 1.3, generator) + 0.5
    image = image + _uniform(count, -0.15, 0.15, generator)
    noise = torch.randn(image.shape, generator=generator, device=image.device)
    noise_level = _uniform(count, -0.02, 0.03, generator).clamp_min(0.0)
    return (image + noise * noise_level).clamp(0.0, 1.0)
