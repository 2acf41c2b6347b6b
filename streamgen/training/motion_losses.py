"""What is learned of motion: how errors change from frame to frame, and what counts how much.

An error is what is drawn less what is wanted. One that stays where the flow takes it is hardly
seen; one that changes flickers. Knows no networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from streamgen.errors import ConfigError
from streamgen.training.motion_clips import moved

# Keeps the slope of a root finite: far below what flicker is.
_LEAST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Weights of what is learned, beside every wrong pixel, which has the weight 1.

    latent: wrong latents. texture: strength of fine structure, without which the calmest picture
    is a blurred one. changing_latent, changing: errors that change along the flow, in latents and
    in pictures. bending: brightness of cells that goes up and down, which is seen as flicker.
    """

    latent: float = 4.0
    texture: float = 1.5
    changing_latent: float = 4.0
    changing: float = 2.0
    bending: float = 0.0

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            if not 0 <= weight < math.inf:
                raise ConfigError(f"balance {name}={weight:g}: give a number from 0")


def read_balance(words: Mapping[str, str]) -> Balance:
    """Return the weights that are told by name, the others as they are by default."""
    known = [field.name for field in fields(Balance)]
    weights = {}
    for name, text in words.items():
        if name not in known:
            raise ConfigError(f"balance {name!r}: choose {', '.join(known)}")
        try:
            weights[name] = float(text)
        except ValueError as error:
            raise ConfigError(f"balance {name}={text}: give a number from 0") from error
    return Balance(**weights)


def changed(error: Tensor, flow: Tensor, is_known: Tensor) -> Tensor:
    """Return by how much errors are not those of the frame before, moved: L1 over what is known.

    error: [B, F, C, h, w]. flow: [B, F - 1, 2, h, w] in its pixels. is_known: [B, F - 1, 1, h, w].
    """
    then, flat = error[:, :-1].flatten(0, 1), flow.flatten(0, 1)
    here = is_known.flatten(0, 1) & (moved(torch.ones_like(then[:, :1]), flat) > 0.999)
    apart = (error[:, 1:].flatten(0, 1) - moved(then, flat)).abs() * here
    return apart.sum() / (here.sum() * error.shape[2]).clamp_min(1)


def bent(error: Tensor, cell: int) -> Tensor:
    """Return how much errors of the mean of each cell bend in time: RMS, as flicker is measured.

    error: [B, F, C, H, W], F of 3 or more; cell: its side in pixels. White noise in cells gives its
    deviation, what changes at an even pace 0.
    """
    means = F.avg_pool2d(error.flatten(0, 1), cell).unflatten(0, error.shape[:2])
    bend = means[:, :-2] - 2 * means[:, 1:-1] + means[:, 2:]
    energy = bend.square().flatten(1).mean(dim=1) / 6
    root: Tensor = (energy + _LEAST).sqrt()
    return root.mean()
