"""Which noise a clip is drawn through, and by which sampler, where nobody says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from streamgen.animation.sampling import SAMPLERS, Sampler
from streamgen.errors import ModelError
from streamgen.models.loading import LoadedModel
from streamgen.motion.ring_file import RING
from streamgen.schedule import NoiseSchedule, schedule_from

#: "model": those of the model's own scheduler.
Betas = Literal["model", "linear"]
BETAS: tuple[Betas, ...] = get_args(Betas)
#: Of a folder in diffusers layout.
_CONFIG = Path("scheduler", "scheduler_config.json")


def schedule_of(model: LoadedModel, folder: Path, betas: Betas) -> NoiseSchedule:
    """Return the noise of a model, with other steps between the same ends where that is asked."""
    if betas == "model":
        return model.schedule
    return schedule_from({**_config(folder), "beta_schedule": betas, "trained_betas": None})


def betas_for(asked: Betas | None, model: LoadedModel, adapter: Path | None) -> Betas:
    """Return what was asked for, else the betas that an adapter is used to.

    AnimateDiff's were trained with linear ones, as the cards of its v1-5 adapters say, and so was
    AnimateLCM's; what was trained for streams (it has a ring) knows its model's own.
    """
    if asked is not None:
        return asked
    is_for_streams = adapter is None or (adapter / RING).is_file()
    return "model" if is_for_streams or model.schedule.prediction != "epsilon" else "linear"


def sampler_for(asked: str | None, model: LoadedModel, folder: Path) -> Sampler:
    """Return what was asked for, else "lcm" where the model is distilled, and "ddim".

    Distilled are those with a scheduler of LCM, those that predict the picture, and those whose
    scheduler starts from the last timestep, as the Turbo models' does.
    """
    if asked is not None:
        return SAMPLERS[asked]
    schedule = model.schedule
    starts_late = _config(folder).get("timestep_spacing") == "trailing"
    is_distilled = schedule.has_boundary or schedule.prediction == "sample" or starts_late
    return SAMPLERS["lcm" if is_distilled else "ddim"]


def _config(folder: Path) -> Mapping[str, Any]:  # Any: whatever JSON holds
    path = folder / _CONFIG
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(told, dict):
        raise ModelError(f"{path}: holds a {type(told).__name__}, not a JSON object")
    return told
