"""Moves rows from noise to picture: one call of the model for the rows of all streams.

Rows of different streams, levels and guidance modes share each call; a row that needs a negative
adds one to it. Rows with other LoRAs have another model, and are a call of their own. How far each
row is to go is decided by `pace`:

    stream batch    tick 1   tick 2   tick 3        each row one step a tick, the newest behind;
    frame 5         level 0  level 1  level 2 ▶     with n levels a picture is n - 1 frames late
    frame 6                  level 0  level 1
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from streamgen.guidance import clean_from, guided, guided_by_image, renoised, virtual_negative
from streamgen.rows import Row
from streamgen.schedule import NoiseSchedule
from streamgen.temporal.memory import StreamMemory
from streamgen.temporal.memory_calls import Unet, answer_of, denoiser_of
from streamgen.temporal.reading import Kind, Leases, Pass, Reading


def pace(rows: Sequence[Row], *, at_once: bool) -> list[int]:
    """Return how many steps each row of one stream, oldest first, has left after this tick.

    Each makes one step, or more where it would come in behind a younger one: when steps become
    fewer, pictures still come out in order. at_once: all come to their end.
    """
    left: list[int] = []
    limit: float = 0 if at_once else float("inf")
    for row in reversed(rows):
        limit = max(min(row.left - 1, limit), 0)
        left.append(int(limit))
    return left[::-1]


def denoise(
    rows: Sequence[Row], left: Sequence[int], engines: Unet, schedule: NoiseSchedule
) -> None:
    """Bring every row to where it has `left` steps to make, in place."""
    goals = list(zip(rows, left, strict=True))
    while moving := [row for row, goal in goals if row.left > goal]:
        step(moving, engines, schedule)


def step(rows: Sequence[Row], engines: Unet, schedule: NoiseSchedule) -> None:
    """Move every row one level on with a single call of each model that rows are drawn with."""
    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[id(row.revision.weights)].append(row)
    for group in groups.values():
        _step(group, denoiser_of(engines, group[0].revision.weights), schedule)


def _step(rows: Sequence[Row], engines: Unet, schedule: NoiseSchedule) -> None:
    """Move every row one level on; rows share no memory with the call."""
    asking = [row for row in rows if row.needs_negative_pass]
    blind = [row for row in rows if row.needs_blind_pass]
    batch = [*rows, *asking, *blind]
    texts = [row.revision.text for row in rows] + [_negative_text(row) for row in (*asking, *blind)]
    conds = [row.cond for row in rows] + [_negative_cond(row) for row in asking]
    conds += [_blind_cond(row) for row in blind]
    x = torch.stack([row.x for row in batch])
    cond = {name: torch.stack([each[name] for each in conds]) for name in conds[0]}
    numbers = [[row.level.t, row.level.alpha, row.level.sigma] for row in batch]
    # Blocking, a copy from the host would wait for all that the device still has to do.
    told = torch.tensor(numbers, dtype=x.dtype).to(x.device, non_blocking=True)
    t, alpha, sigma = told.unbind(1)
    readings = [_readings(row, "prompt") for row in rows]
    readings += [_readings(row, "negative") for row in asking]
    readings += [_readings(row, "blind") for row in blind]
    answer = answer_of(engines, readings, x=x, t=t, text=torch.stack(texts), cond=cond)
    alpha, sigma = alpha.view(-1, 1, 1, 1), sigma.view(-1, 1, 1, 1)
    clean = clean_from(schedule.prediction, answer, x=x, alpha=alpha, sigma=sigma)
    positives, others = clean[: len(rows)], clean[len(rows) :]
    negatives = dict(zip(map(id, asking), others[: len(asking)], strict=True))
    blinds = dict(zip(map(id, blind), others[len(asking) :], strict=True))
    for row, positive in zip(rows, positives, strict=True):
        _advance(row, _guide(row, positive, negatives.get(id(row)), blinds.get(id(row))))


def _readings(row: Row, asked: Pass) -> Mapping[Kind, Reading]:
    """Return what a pass of a row sees of the pictures before, nothing where it is not to."""
    if row.memory is None:
        return {}
    controls = row.revision.controls
    slots: dict[Kind, Leases] = {}
    if controls.uses_bank:
        slots["bank"] = row.memory.features
    if controls.uses_adapter:
        slots["motion"] = row.memory.rings
    key, moment = (row.position, asked), row.moment
    return {kind: Reading(slots=each, key=key, moment=moment) for kind, each in slots.items()}


def _negative_text(row: Row) -> Tensor:
    assert row.revision.negative_text is not None, "only rows that have one ask for its pass"
    return row.revision.negative_text


def _negative_cond(row: Row) -> dict[str, Tensor]:
    return {**row.cond, **row.revision.negative_cond}


def _blind_cond(row: Row) -> dict[str, Tensor]:
    """Return what the model is told in place of the prompt, and nothing of the picture."""
    nothing = {name: torch.zeros_like(each) for name, each in row.cond.items()}
    return {**nothing, **row.revision.negative_cond}


def _guide(row: Row, positive: Tensor, negative: Tensor | None, blind: Tensor | None) -> Tensor:
    """Return the row's x̂0 with its own guidance applied."""
    controls = row.revision.controls
    if not controls.is_guided:
        return positive
    scale = controls.guidance_scale
    if negative is not None and blind is not None:
        image_scale = controls.image_guidance_scale
        return guided_by_image(positive, negative, blind, scale=scale, image_scale=image_scale)
    if negative is not None and controls.guidance == "initialize":
        row.origin = negative
    if negative is None or controls.guidance == "initialize":
        alpha, delta = row.level.alpha, controls.delta
        negative = virtual_negative(row.origin, x=row.x, alpha=alpha, delta=delta)
    return guided(positive, negative, scale=scale)


def _advance(row: Row, clean: Tensor) -> None:
    """Apply the boundary scalings and the memory, and put the row at its next level."""
    level = row.level
    if level.c_skip:
        clean = level.c_out * clean + level.c_skip * row.x
    if row.memory is not None:
        clean = _remembered(row, clean, row.memory)
    row.position += 1
    if not row.is_finished:
        alpha, sigma = row.level.alpha, row.level.sigma
        clean = renoised(clean, row.noises[row.position], alpha=alpha, sigma=sigma)
    row.x = clean


def _remembered(row: Row, clean: Tensor, memory: StreamMemory) -> Tensor:
    """Return the row's x̂0 with what its stream has of the pictures before."""
    is_last = row.left == 1
    if is_last:
        clean = memory.colours.held(clean, row.moment)
    return memory.latents.blended(clean, row.moment, position=row.position, is_last=is_last)
