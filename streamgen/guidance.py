"""Formulas of one denoising step, for whole batches; knows nothing of streams.

Tensors are [B, C, h, w] with alpha, sigma, scale as [B, 1, 1, 1], or [C, h, w] with numbers.

Guidance acts on the noise ε̂ = (x - alpha * x̂0) / sigma that an answer implies (Ho and Salimans
2022, arXiv 2207.12598). Positive and negative share x, so the same straight line in ε̂ is a
straight line in x̂0, and that is where it is drawn here: nothing is divided by an alpha of zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from streamgen.schedule import Prediction

Number = float | Tensor


def clean_from(
    prediction: Prediction, answer: Tensor, *, x: Tensor, alpha: Number, sigma: Number
) -> Tensor:
    """Return x̂0 from what the model said (v: Salimans and Ho 2022, arXiv 2202.00512).

    The result never shares memory with the answer, which the model's next call overwrites.
    """
    if prediction == "sample":
        return answer.clone()
    if prediction == "v_prediction":
        return alpha * x - sigma * answer
    return (x - sigma * answer) / alpha


def guided(positive: Tensor, negative: Tensor, *, scale: Number) -> Tensor:
    """Return x̂0 moved along the line from the negative's through the positive's."""
    return negative + scale * (positive - negative)


def guided_by_image(
    positive: Tensor, negative: Tensor, blind: Tensor, *, scale: Number, image_scale: Number
) -> Tensor:
    """Return x̂0 guided by the prompt and by the picture (Brooks et al. 2022, arXiv 2211.09800).

    negative: with the picture, without the prompt; blind: without either.
    """
    return blind + image_scale * (negative - blind) + scale * (positive - negative)


def guidance_embedding(scale: float, width: int) -> Tensor:
    """Return what tells a model its guidance scale, [width], where it was taught to guide itself.

    Sines and cosines of w = scale - 1, in thousandths (Luo et al. 2023, arXiv 2310.04378).
    """
    half = width // 2
    frequencies = 10_000.0 ** (-torch.arange(half) / (half - 1))
    angles = 1000.0 * (scale - 1) * frequencies
    return torch.cat([angles.sin(), angles.cos()])


def virtual_negative(origin: Tensor, *, x: Tensor, alpha: float, delta: float) -> Tensor:
    """Return the x̂0 of residual guidance's negative, found without a pass of the model.

    Kodaira et al. 2023 (StreamDiffusion, arXiv 2312.12491) take the noise delta * S, where
    S = (x - alpha * origin) / sigma explains the origin; its x̂0 is the mix below. At an alpha of
    zero only delta = 1 has one; `revise` refuses any other.
    """
    if delta == 1:
        return origin
    return delta * origin + (1 - delta) / alpha * x


def renoised(clean: Tensor, noise: Tensor, *, alpha: Number, sigma: Number) -> Tensor:
    """Return x at a level, from a clean latent and unit noise."""
    return alpha * clean + sigma * noise
