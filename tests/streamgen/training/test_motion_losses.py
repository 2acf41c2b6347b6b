"""What is learned of motion: errors that go along cost nothing, those that change do."""

import pytest
import torch

from streamgen.errors import ConfigError
from streamgen.evaluation.figures import flicker_energy
from streamgen.training.motion_losses import Balance, bent, changed, read_balance


def seeded(number):
    return torch.Generator().manual_seed(number)


def test_an_error_that_goes_with_the_flow_costs_nothing_and_one_that_stays_does():
    error = torch.rand(1, 1, 1, 8, 8, generator=seeded(0))
    flow = torch.zeros(1, 1, 2, 8, 8)
    flow[:, :, 0] = 1  # all was one place further right
    known = torch.ones(1, 1, 1, 8, 8, dtype=torch.bool)
    carried = torch.cat([error, error.roll(-1, dims=-1)], dim=1)
    assert float(changed(carried, flow, known)) == pytest.approx(0.0, abs=1e-6)
    assert float(changed(error.expand(1, 2, 1, 8, 8), flow, known)) > 0.1
    assert float(changed(carried, flow, ~known)) == 0.0


def test_what_bends_is_what_is_measured_as_flicker():
    cells = torch.rand(1, 3, 1, 4, 4, generator=seeded(0))
    error = cells.repeat_interleave(8, dim=-1).repeat_interleave(8, dim=-2)
    expected = flicker_energy(*cells[0, :, 0].numpy()) ** 0.5
    assert float(bent(error, 8)) == pytest.approx(expected, rel=1e-3)


def test_an_even_change_does_not_bend_nor_does_what_moves_within_a_cell():
    error = torch.rand(1, 1, 1, 16, 16, generator=seeded(0))
    time = torch.arange(3.0).view(1, 3, 1, 1, 1)
    within = torch.cat([error, error.flip(-1), error], dim=1).unflatten(-1, (2, 8))
    shuffled = torch.cat([within[:, :1], within[:, :1].flip(-1), within[:, :1]], dim=1).flatten(-2)
    for calm in (error * time, shuffled):
        assert float(bent(calm, 8)) == pytest.approx(0.001, rel=0.05)  # the least there is
    assert float(bent(error * time.square(), 8)) > 0.1


def test_a_new_set_of_weights_differs_where_it_is_told_to():
    assert read_balance({}) == Balance()
    assert read_balance({"texture": "6", "bending": "4"}) == Balance(texture=6.0, bending=4.0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"blur": "1"}, "balance 'blur': choose latent, texture, changing_latent"),
        ({"texture": "much"}, "balance texture=much: give a number from 0"),
        ({"texture": "-1"}, "balance texture=-1: give a number from 0"),
        ({"texture": "nan"}, "balance texture=nan: give a number from 0"),
    ],
)
def test_a_wrong_weight_is_named(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_balance(words)
