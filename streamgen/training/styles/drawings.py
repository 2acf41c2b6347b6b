"""Styles of line and tone: pencil, ink, charcoal, comic, blueprint, neon."""

from __future__ import annotations

import torch
from torch import Tensor

from streamgen.training.styles.filters import (
    blur,
    contrast,
    edge_strength,
    ink_lines,
    kuwahara,
    lift,
    luma,
    posterise,
    saturate,
    smear,
    smoothstep,
    tangents,
)


def pencil_sketch(image: Tensor) -> Tensor:
    """Dark lines on white paper, grey shade rubbed in."""
    calm = kuwahara(image, 2)
    lines = ink_lines(calm, sigma_px=1.4, sharpness=20.0, level=0.0)
    shade = 1 - 0.72 * smoothstep(0.85, 0.0, blur(luma(calm), 2.0))
    return (shade * (0.12 + 0.88 * lines) * 0.98).expand(-1, 3, -1, -1)


def ink_manga(image: Tensor) -> Tensor:
    """Black lines and solid blacks on white, one flat grey between."""
    calm = kuwahara(lift(image, 0.8), 3)
    lines = ink_lines(calm, sigma_px=1.6, sharpness=20.0, level=0.05)
    tone = blur(luma(calm), 1.5)
    screen = 0.70 + 0.30 * smoothstep(0.36, 0.56, tone)
    black = smoothstep(0.12, 0.28, tone)
    return (screen * black * lines).expand(-1, 3, -1, -1)


def charcoal(image: Tensor) -> Tensor:
    """Dark smudged grey with heavy soft edges on toned paper."""
    calm = kuwahara(image, 2)
    tx, ty = tangents(calm, sigma_px=2.0)
    smudged = smear(calm, tx, ty, reach_px=5)
    grey = contrast(lift(luma(smudged), 0.6), 1.3, pivot=0.6)
    edges = smoothstep(0.02, 0.16, blur(edge_strength(luma(smudged)), 1.2))
    drawing = (0.08 + 0.80 * grey * grey) * (1 - 0.85 * edges)
    paper = image.new_tensor([1.0, 0.96, 0.90]).view(1, 3, 1, 1)
    return (drawing * paper).clamp(0, 1)


def comic(image: Tensor) -> Tensor:
    """Flat saturated colours in four tones and thick black outlines."""
    calm = kuwahara(kuwahara(lift(image, 0.8), 3), 3)
    tone = luma(calm)
    flat = calm * (posterise(tone, 4, softness=0.35) + 0.08) / (tone + 0.08)
    lines = ink_lines(kuwahara(lift(image), 2), sigma_px=1.4, sharpness=22.0, level=0.0)
    return (saturate(flat.clamp(0, 1), 1.9) * smoothstep(0.2, 0.8, lines)).clamp(0, 1)


def blueprint(image: Tensor) -> Tensor:
    """Pale lines on deep blue."""
    calm = kuwahara(image, 2)
    lines = smoothstep(0.012, 0.13, blur(edge_strength(luma(calm)), 1.2))
    paper = image.new_tensor([0.04, 0.18, 0.52]).view(1, 3, 1, 1)
    chalk = image.new_tensor([0.86, 0.94, 1.0]).view(1, 3, 1, 1)
    wash = 0.85 + 0.45 * luma(calm)
    return torch.lerp(paper * wash, chalk.expand_as(image), lines).clamp(0, 1)


def neon(image: Tensor) -> Tensor:
    """Glowing lines in the colours of the picture on near black."""
    calm = kuwahara(image, 2)
    edges = smoothstep(0.015, 0.11, blur(edge_strength(luma(calm)), 1.2))
    hue = calm - calm.amin(dim=1, keepdim=True)
    hue = blur(hue / (hue.amax(dim=1, keepdim=True) + 0.25), 2.5)
    accent = image.new_tensor([0.25, 0.55, 1.0]).view(1, 3, 1, 1)
    colour = (0.55 * accent + 1.3 * hue).clamp(0, 1)
    glow = blur(edges, 3.0)
    return (0.03 + 0.05 * calm + colour * (1.2 * edges + 0.9 * glow)).clamp(0, 1)
