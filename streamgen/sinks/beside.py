"""Two pictures side by side, for comparing; knows no files."""

from __future__ import annotations

import numpy as np

from streamgen.frame import Pixels


def beside(left: Pixels, right: Pixels) -> Pixels:
    """Return [H, W1 + W2, 3] from [H, W1, 3] and [H, W2, 3]."""
    if left.shape[0] != right.shape[0]:
        raise ValueError(f"heights {left.shape[0]} and {right.shape[0]}: they must be equal")
    return np.concatenate([left, right], axis=1)
