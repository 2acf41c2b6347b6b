"""Moves rows from noise to picture: one call of the model for the rows of all streams.

The plain form: every row visits all its levels before its frame is answered. Rows of different
streams, levels and guidance modes share each call; a row that needs a negative adds one to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from streamgen.guidance import clean_from, guided, renoised, virtual_negative
from streamgen.rows import Row
from streamgen.schedule import NoiseSchedule


class Unet(Protocol):
    """The model's answer to a batch of rows, as `streamgen.models.engines.Engines` gives it."""

    def unet(self, x: Tensor, t: Tensor, text: Tensor, cond: dict[str, Tensor]) -> Tensor: ...


def denoise(rows: Sequence[Row], engines: Unet, schedule: NoiseSchedule) -> None:
    """Bring every row to its end, in place."""
    while moving := [row for row in rows if not row.is_finished]:
        step(moving, engines, schedule)


def step(rows: Sequence[Row], engines: Unet, schedule: NoiseSchedule) -> None:
    """Move every row one level on with a single call of the model; rows share no memory with it."""
    asking = [row for row in rows if row.needs_negative_pass]
    batch = [*rows, *asking]
    texts = [row.revision.text for row in rows] + [_negative_text(row) for row in asking]
    x = torch.stack([row.x for row in batch])
    cond = {name: torch.stack([row.cond[name] for row in batch]) for name in batch[0].cond}
    numbers = [[row.level.t, row.level.alpha, row.level.sigma] for row in batch]
    t, alpha, sigma = torch.tensor(numbers, dtype=x.dtype, device=x.device).unbind(1)
    answer = engines.unet(x, t, torch.stack(texts), cond)
    alpha, sigma = alpha.view(-1, 1, 1, 1), sigma.view(-1, 1, 1, 1)
    clean = clean_from(schedule.prediction, answer, x=x, alpha=alpha, sigma=sigma)
    negatives = dict(zip(map(id, asking), clean[len(rows) :], strict=True))
    for row, positive in zip(rows, clean[: len(rows)], strict=True):
        _advance(row, _guide(row, positive, negatives.get(id(row))))


def _negative_text(row: Row) -> Tensor:
    assert row.revision.negative_text is not None, "only rows that have one ask for its pass"
    return row.revision.negative_text


def _guide(row: Row, positive: Tensor, negative: Tensor | None) -> Tensor:
    """Return the row's x̂0 with its own guidance applied."""
    controls = row.revision.controls
    if not controls.is_guided:
        return positive
    if negative is not None and controls.guidance == "initialize":
        row.origin = negative
    if negative is None or controls.guidance == "initialize":
        alpha, delta = row.level.alpha, controls.delta
        negative = virtual_negative(row.origin, x=row.x, alpha=alpha, delta=delta)
    return guided(positive, negative, scale=controls.guidance_scale)


def _advance(row: Row, clean: Tensor) -> None:
    """Apply the boundary scalings and put the row at its next level."""
    level = row.level
    if level.c_skip:
        clean = level.c_out * clean + level.c_skip * row.x
    row.position += 1
    if not row.is_finished:
        alpha, sigma = row.level.alpha, row.level.sigma
        clean = renoised(clean, row.noises[row.position], alpha=alpha, sigma=sigma)
    row.x = clean
