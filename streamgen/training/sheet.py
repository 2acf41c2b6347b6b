"""Contact sheets: rows of pictures in one PNG, to be looked at by eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def save_sheet(rows: Sequence[Tensor], path: Path) -> None:
    """Write one row of pictures per tensor.

    rows: float [N, 3, H, W] in [0, 1], all of one shape.
    """
    grid = torch.stack([row.detach().float().cpu() for row in rows])
    lines, count, _, height, width = grid.shape
    sheet = grid.permute(0, 3, 1, 4, 2).reshape(lines * height, count * width, 3)
    pixels = (sheet.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(path)
