from __future__ import annotations

import pytest
import torch

from streamgen.control_schema import controls_from
from streamgen.rows import NoiseBank


def take(count=1, **controls):
    bank = NoiseBank(shape=(64, 64), device=torch.device("cpu"))
    return bank.take(controls_from(controls), count)


@pytest.mark.parametrize("noise", ["fixed", "fresh"])
@pytest.mark.parametrize("seeds", [[1, 2], [1, {"number": 2, "weight": 5}], [1, 1, 2, 3]])
def test_blended_noise_has_unit_variance(seeds, noise):
    [blended] = take(seeds=seeds, noise=noise)
    assert float(blended.std()) == pytest.approx(1, abs=0.05)


def test_a_blend_leans_to_the_heavier_seed():
    first, second = (take(seed=number)[0] for number in (1, 2))
    [blended] = take(seeds=[{"number": 1, "weight": 3}, {"number": 2, "weight": 4}])
    torch.testing.assert_close(blended, 0.6 * first + 0.8 * second)


def test_one_seed_named_twice_is_one_seed():
    assert torch.equal(take(seeds=[4, 4, {"number": 9, "weight": 0}])[0], take(seed=4)[0])


def test_every_level_has_a_noise_of_its_own():
    first, second = take(2, seed=1)
    assert abs(float((first * second).mean())) < 0.1
