"""Levels and steps of the two samplers, against diffusers' own."""

import pytest
import torch
from diffusers import DDIMScheduler

from streamgen.animation.sampling import SAMPLERS
from streamgen.errors import ConfigError
from streamgen.guidance import clean_from
from streamgen.schedule import levels, schedule_from

CONFIG = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
DDIM, LCM = SAMPLERS["ddim"], SAMPLERS["lcm"]


def schedule(**further):
    return schedule_from({**CONFIG, "_class_name": "LCMScheduler", **further})


def test_ddim_starts_at_the_last_timestep_and_goes_down_evenly():
    assert [level.t for level in DDIM.levels(schedule(), 1.0, 4)] == [999, 749, 499, 249]
    assert [level.t for level in DDIM.levels(schedule(), 0.6, 3)] == [599, 399, 199]


def test_lcm_visits_the_levels_of_a_stream():
    assert LCM.levels(schedule(), 0.8, 2) == levels(schedule(), (10, 30))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_step_of_ddim_is_that_of_diffusers(prediction):
    told = {**CONFIG, "prediction_type": prediction}
    theirs = DDIMScheduler(**told, clip_sample=False, timestep_spacing="trailing")
    theirs.set_timesteps(4)
    ladder = DDIM.levels(schedule(prediction_type=prediction), 1.0, 4)
    generator = torch.Generator().manual_seed(0)
    x, answer = torch.randn(2, 3, 4, 5, 5, generator=generator, dtype=torch.float64)

    assert [level.t for level in ladder] == theirs.timesteps.tolist()
    for level, after in zip(ladder, ladder[1:], strict=False):
        clean = clean_from(prediction, answer, x=x, alpha=level.alpha, sigma=level.sigma)
        ours = DDIM.moved(clean, x, level, after, torch.full_like(x, torch.nan))
        assert torch.allclose(ours, theirs.step(answer, level.t, x).prev_sample, atol=1e-6)


def test_a_step_of_lcm_takes_new_noise():
    level, after = LCM.levels(schedule(), 0.8, 2)
    clean, noise = torch.ones(3), torch.tensor([-1.0, 0.0, 2.0])

    moved = LCM.moved(clean, torch.full((3,), torch.nan), level, after, noise)

    assert torch.equal(moved, after.alpha * clean + after.sigma * noise)


@pytest.mark.parametrize(("strength", "steps", "most"), [(0.002, 3, 2), (0.0001, 1, 0)])
def test_more_steps_than_timesteps_are_refused(strength, steps, most):
    with pytest.raises(ConfigError, match=f"steps {steps}: .* has {most} timesteps"):
        DDIM.levels(schedule(), strength, steps)


def test_more_steps_than_levels_are_refused():
    with pytest.raises(ConfigError, match="steps 11: at strength 0.2 there are 10 of 50 noise"):
        LCM.levels(schedule(), 0.2, 11)


def test_a_model_that_predicts_noise_cannot_start_where_nothing_else_is():
    config = {**CONFIG, "rescale_betas_zero_snr": True}

    with pytest.raises(ConfigError, match="strength: this model predicts noise"):
        DDIM.levels(schedule_from(config), 1.0, 4)
