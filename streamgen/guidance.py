"""Formulas of one denoising step, for whole batches; knows nothing of streams.

Tensors are [B, C, h, w]; alpha, sigma, scale, delta broadcast against them as [B, 1, 1, 1].

Guidance acts on the noise ε̂ = (x - alpha * x̂0) / sigma that an answer implies (Ho and Salimans
2022, arXiv 2207.12598). Positive and negative share x, so the same straight line in ε̂ is a
straight line in x̂0, and that is where it is drawn here: nothing is divided by an alpha of zero.
"""

from __future__ import annotations

from torch import Tensor

from streamgen.schedule import Prediction

#: Smallest alpha anything is divided by.
ALPHA_FLOOR = 1e-4


def clean_from(
    prediction: Prediction, answer: Tensor, *, x: Tensor, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """Return x̂0 from what the model said (v: Salimans and Ho 2022, arXiv 2202.00512)."""
    if prediction == "sample":
        return answer
    if prediction == "v_prediction":
        return alpha * x - sigma * answer
    return (x - sigma * answer) / alpha


def guided(positive: Tensor, negative: Tensor, *, scale: Tensor) -> Tensor:
    """Return x̂0 moved along the line from the negative's through the positive's."""
    return negative + scale * (positive - negative)


def virtual_negative(origin: Tensor, *, x: Tensor, alpha: Tensor, delta: Tensor) -> Tensor:
    """Return the x̂0 of residual guidance's negative, found without a pass of the model.

    Kodaira et al. 2023 (StreamDiffusion, arXiv 2312.12491) take the noise delta * S, where
    S = (x - alpha * origin) / sigma explains the origin; its x̂0 is the mix below.
    """
    return delta * origin + (1 - delta) * x / alpha.clamp_min(ALPHA_FLOOR)


def renoised(clean: Tensor, noise: Tensor, *, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return x at a level, from a clean latent and unit noise."""
    return alpha * clean + sigma * noise
