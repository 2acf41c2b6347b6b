"""From controls to a revision: levels and embeddings, made once and not for every frame."""

from __future__ import annotations

from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.prompts import PromptBook
from streamgen.rows import Revision
from streamgen.schedule import NoiseSchedule, levels


def revise(
    controls: Controls, number: int, *, schedule: NoiseSchedule, prompts: PromptBook
) -> Revision:
    """Return what frames are drawn with; ConfigError for what the schedule cannot do."""
    ladder = levels(schedule, controls.indices)
    is_virtual = controls.is_guided and controls.guidance in ("self", "initialize")
    if is_virtual and controls.delta != 1 and any(level.alpha == 0 for level in ladder):
        raise ConfigError(
            f"delta {controls.delta:g}: this model has none of the picture left at its first level:"
            " give delta 1, or start lower"
        )
    asks_negative = controls.is_guided and controls.guidance in ("full", "initialize")
    return Revision(
        number=number,
        controls=controls,
        levels=ladder,
        text=prompts.blend(controls.prompts),
        negative_text=prompts.embed(controls.negative_prompt) if asks_negative else None,
    )
