"""How states are kept between frames: as floats, or as bytes with a scale for each token."""

from __future__ import annotations

import torch
from torch import Tensor

_LARGEST = 127
# The least that float16 tells from zero at full precision.
_LEAST_SCALE = 2.0**-14


def packed(states: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Return [..., C] as it is kept: one tensor, for int8 the scales [...] as well."""
    if dtype != torch.int8:
        return (states.to(dtype),)
    # In the type of the network the quotients would be rounded before they become whole numbers.
    states = states.float()
    largest = states.abs().amax(dim=-1)
    scale = (largest / _LARGEST).clamp(min=_LEAST_SCALE).to(torch.float16)
    steps = (states / scale.float()[..., None]).round().clamp(-_LARGEST, _LARGEST)
    return steps.to(torch.int8), scale


def unpacked(kept: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Return [..., C] of what was kept, in a float type."""
    states = kept.to(dtype)
    return states if scale is None else states * scale.to(dtype)[..., None]
