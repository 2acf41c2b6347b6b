"""Noise levels: which timesteps a stream visits and what they mean; pure functions.

`t_index_list` numbers the levels of a grid of 50 as LCM does (Luo et al. 2023, arXiv 2310.04378):
index k is timestep 999 - 20 k, so a small number is much noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from streamgen.errors import ConfigError

GRID = 50
Prediction = Literal["epsilon", "v_prediction", "sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One noise level: x_t = alpha * x0 + sigma * noise.

    c_skip, c_out: the boundary scalings, x0 = c_out * x̂0 + c_skip * x_t; 0 and 1 without LCM.
    """

    t: int
    alpha: float
    sigma: float
    c_skip: float = 0.0
    c_out: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSchedule:
    """What a model's scheduler config means: ᾱ of each timestep and how the model answers."""

    alphas_cumprod: tuple[float, ...]
    prediction: Prediction
    has_boundary: bool
    timestep_scaling: float = 10.0
    sigma_data: float = 0.5

    def level(self, index: int) -> Level:
        """Return level `index` of the grid; raise ConfigError where the model cannot start."""
        t = len(self.alphas_cumprod) * (GRID - index) // GRID - 1
        alpha_bar = self.alphas_cumprod[t]
        if alpha_bar <= 0 and self.prediction == "epsilon":
            raise ConfigError(
                f"t_index {index}: this model predicts noise and has none of the picture left at"
                f" timestep {t}: start at 1 or later, or lower the strength"
            )
        c_skip, c_out = self._boundary(t)
        return Level(
            t=t,
            alpha=math.sqrt(max(alpha_bar, 0.0)),
            sigma=math.sqrt(1 - alpha_bar),
            c_skip=c_skip,
            c_out=c_out,
        )

    def _boundary(self, t: int) -> tuple[float, float]:
        if not self.has_boundary:
            return 0.0, 1.0
        scaled = t * self.timestep_scaling
        power = scaled**2 + self.sigma_data**2
        return self.sigma_data**2 / power, scaled / math.sqrt(power)


def schedule_from(config: Mapping[str, object]) -> NoiseSchedule:
    """Read a diffusers scheduler config; raise ConfigError for what it cannot mean."""
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in get_args(Prediction):
        allowed = ", ".join(get_args(Prediction))
        raise ConfigError(f"scheduler prediction_type {prediction!r}: supported are {allowed}")
    # Here, because controls need this module and must not wait for diffusers.
    from diffusers import LCMScheduler

    # Whatever the model's scheduler is, LCMScheduler knows how to read its betas.
    scheduler = LCMScheduler.from_config(dict(config))
    is_lcm = config.get("_class_name") == "LCMScheduler"
    return NoiseSchedule(
        alphas_cumprod=tuple(scheduler.alphas_cumprod.double().tolist()),
        prediction=prediction,  # type: ignore[arg-type]  # checked above
        has_boundary=is_lcm,
        timestep_scaling=_number(config, "timestep_scaling", 10.0),
    )


def _number(config: Mapping[str, object], name: str, default: float) -> float:
    value = config.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def t_index_list(strength: float, steps: int) -> tuple[int, ...]:
    """Spread `steps` levels evenly from the one that `strength` names down to the picture.

    strength in [0, 1]: the first index is round(50 * (1 - strength)); 0 gives no level at all, so
    the picture passes through the autoencoder only. Never more levels than the grid has left.
    """
    first = round(GRID * (1 - strength))
    count = min(steps, GRID - first)
    return tuple(first + (GRID - first) * k // count for k in range(count))


def strength_and_steps(indices: Sequence[int]) -> tuple[float, int]:
    """Return what makes a `t_index_list` of this start and length, as far as one can."""
    return 1 - indices[0] / GRID, len(indices)


def levels(schedule: NoiseSchedule, indices: Sequence[int]) -> tuple[Level, ...]:
    """Return the levels of a `t_index_list`, noisiest first."""
    return tuple(schedule.level(index) for index in indices)
