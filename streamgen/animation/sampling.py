"""Ways from noise to picture for whole clips: which levels are visited, and from one to the next.

ddim  deterministic, for models that are not distilled (Song et al. 2021, arXiv 2010.02502, eta 0)
lcm   new noise at each level, for distilled ones (Luo et al. 2023, arXiv 2310.04378), as live
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from streamgen.errors import ConfigError
from streamgen.guidance import renoised
from streamgen.schedule import GRID, Level, NoiseSchedule, levels, t_index_list


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """steps, guidance_scale: by default.

    most_steps(schedule, strength): that there can be, 0 where nothing would be drawn.
    levels(schedule, strength, steps): what is visited, noisiest first. moved(clean, x, level,
    after, noise): x at the level after this one, of x̂0, of x at this one, and of unit noise.
    """

    name: str
    steps: int
    guidance_scale: float
    most_steps: Callable[[NoiseSchedule, float], int]
    levels: Callable[[NoiseSchedule, float, int], tuple[Level, ...]]
    moved: Callable[[Tensor, Tensor, Level, Level, Tensor], Tensor]


def ddim_most(schedule: NoiseSchedule, strength: float) -> int:
    """Return how many timesteps there are up to the one that a strength names."""
    return round(len(schedule.alphas_cumprod) * strength)


def lcm_most(schedule: NoiseSchedule, strength: float) -> int:
    """Return how many levels of the grid of streams there are."""
    return len(t_index_list(strength, GRID))


def ddim_levels(schedule: NoiseSchedule, strength: float, steps: int) -> tuple[Level, ...]:
    """Spread `steps` levels evenly from the one that `strength` names down to the picture.

    At strength 1 from the last timestep that there is, as Lin et al. 2024 (arXiv 2305.08891) have
    it, since it is from noise alone that one starts there.
    """
    first = ddim_most(schedule, strength)
    if not 1 <= steps <= first:
        raise ConfigError(
            f"steps {steps}: at strength {strength:g} this model has {first} timesteps, give 1 to"
            " as many"
        )
    return tuple(_at(schedule, round(first * (steps - k) / steps) - 1) for k in range(steps))


def lcm_levels(schedule: NoiseSchedule, strength: float, steps: int) -> tuple[Level, ...]:
    """Return the levels that a stream of this strength and steps visits."""
    indices = t_index_list(strength, steps)
    if len(indices) < steps:
        raise ConfigError(
            f"steps {steps}: at strength {strength:g} there are {len(indices)} of {GRID} noise"
            " levels, give no more"
        )
    return levels(schedule, indices)


def ddim_moved(clean: Tensor, x: Tensor, level: Level, after: Level, noise: Tensor) -> Tensor:
    """Keep the noise that x̂0 implies: nothing is drawn anew."""
    implied = (x - level.alpha * clean) / level.sigma
    return renoised(clean, implied, alpha=after.alpha, sigma=after.sigma)


def lcm_moved(clean: Tensor, x: Tensor, level: Level, after: Level, noise: Tensor) -> Tensor:
    """Noise x̂0 anew."""
    return renoised(clean, noise, alpha=after.alpha, sigma=after.sigma)


SAMPLERS: Mapping[str, Sampler] = {
    "ddim": Sampler(
        name="ddim",
        steps=25,
        guidance_scale=7.5,
        most_steps=ddim_most,
        levels=ddim_levels,
        moved=ddim_moved,
    ),
    "lcm": Sampler(
        name="lcm",
        steps=4,
        guidance_scale=1.0,
        most_steps=lcm_most,
        levels=lcm_levels,
        moved=lcm_moved,
    ),
}


def _at(schedule: NoiseSchedule, t: int) -> Level:
    alpha_bar = schedule.alphas_cumprod[t]
    if alpha_bar <= 0 and schedule.prediction == "epsilon":
        raise ConfigError(
            f"strength: this model predicts noise and has none of the picture left at timestep {t}:"
            " give a strength below 1, and a picture"
        )
    return Level(t=t, alpha=math.sqrt(max(alpha_bar, 0.0)), sigma=math.sqrt(1 - alpha_bar))
