import math

import pytest
from diffusers import LCMScheduler
from hypothesis import given
from hypothesis import strategies as st

from streamgen.errors import ConfigError
from streamgen.schedule import GRID, levels, schedule_from, strength_and_steps, t_index_list

SD_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize(
    ("strength", "steps", "expected"),
    [(1.0, 1, (0,)), (0.8, 1, (10,)), (0.5, 2, (25, 37)), (0.0, 4, ()), (0.04, 4, (48, 49))],
)
def test_strength_and_steps_name_levels(strength, steps, expected):
    assert t_index_list(strength, steps) == expected


@pytest.mark.parametrize("steps", range(1, 9))
def test_levels_rise_strictly_and_stay_on_the_grid(steps):
    for percent in range(101):
        indices = t_index_list(percent / 100, steps)
        assert list(indices) == sorted(set(indices))
        assert all(0 <= index < GRID for index in indices)


def test_index_k_is_timestep_999_minus_20_k():
    schedule = schedule_from(SD_BETAS)
    assert [level.t for level in levels(schedule, (0, 10, 32, 49))] == [999, 799, 359, 19]


def test_alpha_and_sigma_are_on_the_unit_circle():
    for level in levels(schedule_from(SD_BETAS), range(GRID)):
        assert math.isclose(level.alpha**2 + level.sigma**2, 1.0, rel_tol=1e-9)


def test_boundary_scalings_are_those_of_the_lcm_scheduler():
    config = {**SD_BETAS, "_class_name": "LCMScheduler"}
    level = schedule_from(config).level(49)
    c_skip, c_out = LCMScheduler(**SD_BETAS).get_scalings_for_boundary_condition_discrete(level.t)
    assert math.isclose(level.c_skip, c_skip) and math.isclose(level.c_out, c_out)


def test_other_schedulers_have_no_boundary_scalings():
    level = schedule_from({**SD_BETAS, "_class_name": "EulerDiscreteScheduler"}).level(49)
    assert (level.c_skip, level.c_out) == (0.0, 1.0)


def test_noise_prediction_from_pure_noise_is_an_error():
    schedule = schedule_from({**SD_BETAS, "rescale_betas_zero_snr": True})
    assert schedule.alphas_cumprod[-1] == 0
    with pytest.raises(ConfigError, match="t_index 0: this model predicts noise"):
        schedule.level(0)


def test_v_prediction_may_start_from_pure_noise():
    config = {**SD_BETAS, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    assert schedule_from(config).level(0).alpha == 0.0


def test_unknown_prediction_type_names_the_supported_ones():
    with pytest.raises(ConfigError, match="'flow': supported are epsilon, v_prediction, sample"):
        schedule_from({**SD_BETAS, "prediction_type": "flow"})


@given(st.integers(1, 50), st.integers(1, 8))
def test_strength_and_steps_are_read_back_from_their_levels(fiftieths, steps):
    indices = t_index_list(fiftieths / 50, steps)
    assert t_index_list(*strength_and_steps(indices)) == indices
