"""Numbers that tell the look of a picture: its colours and its texture, not what is on it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from streamgen.frame import Pixels

Vector = NDArray[np.float64]

SCALES = 3
LUMA_BINS = 6
_YCC = (
    (0.299, 0.587, 0.114),
    (-0.169, -0.331, 0.500),
    (0.500, -0.419, -0.081),
)


def look_of(picture: Pixels) -> Vector:
    """Return the features of uint8 [H, W, 3]: float64 [33].

    Colour: mean and spread of luma and both colour differences, their correlations, a histogram of
    luma. Texture, at full, half and quarter size: mean and spread of the length of gradients, mean
    of the Laplacian, share of strong edges, sign of the Laplacian's third moment (dark or bright
    lines).
    """
    planes = _planes(picture)
    flat = planes.flatten(1)
    centred = flat - flat.mean(dim=1, keepdim=True)
    spread = centred.square().mean(dim=1).sqrt()
    pairs = torch.stack([(centred[a] * centred[b]).mean() for a, b in ((0, 1), (0, 2), (1, 2))])
    crossed = pairs.abs().sqrt() * pairs.sign()
    shares = torch.histc(flat[0], bins=LUMA_BINS, min=0, max=1) / flat.shape[1]
    features = [flat.mean(dim=1), spread, crossed, shares.sqrt()]
    luma = planes[:1]
    for _ in range(SCALES):
        features.append(_texture(luma))
        luma = F.avg_pool2d(luma, 2)
    told: Vector = torch.cat(features).double().numpy()
    return told


def sharpness(picture: Pixels) -> float:
    """Return the mean length of the gradient of luma, in levels a pixel."""
    return float(_gradient(_planes(picture)[:1]).mean()) * 255


def _planes(picture: Pixels) -> Tensor:
    """Return luma in [0, 1] and two colour differences in [-0.5, 0.5]: float32 [3, H, W]."""
    rgb = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)
    return torch.einsum("kc,chw->khw", torch.tensor(_YCC), rgb)


def _gradient(luma: Tensor) -> Tensor:
    down = luma[:, 1:, :-1] - luma[:, :-1, :-1]
    across = luma[:, :-1, 1:] - luma[:, :-1, :-1]
    return torch.hypot(down, across)


def _texture(luma: Tensor) -> Tensor:
    """Return five numbers of [1, H, W]."""
    length = _gradient(luma)
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    bend = F.conv2d(luma[None], kernel[None, None])
    third = bend.pow(3).mean()
    return torch.stack(
        [
            length.mean().sqrt(),
            length.std().sqrt(),
            bend.abs().mean().sqrt(),
            (length > 0.1).float().mean().sqrt(),
            third.sign() * third.abs().pow(1 / 3),
        ]
    )
