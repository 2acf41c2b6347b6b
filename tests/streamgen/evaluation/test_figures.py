from __future__ import annotations

import numpy as np
import pytest

from streamgen.evaluation.correspondence import Correspondence
from streamgen.evaluation.figures import (
    cells_of,
    correlation,
    edges_of,
    flicker_energy,
    gradient_energy,
    mean_lab,
    warp_error,
)
from streamgen.frame import Pixels


def grey(level: int, side: int = 32) -> Pixels:
    return np.full((side, side, 3), level, np.uint8)


def still(side: int = 32, known: bool = True) -> Correspondence:
    return Correspondence(
        flow=np.zeros((side, side, 2), np.float32), is_known=np.full((side, side), known)
    )


def test_a_jump_in_brightness_is_a_warp_error_of_its_square() -> None:
    assert warp_error(grey(100), grey(151), still()) == pytest.approx((51 / 255) ** 2)


def test_noise_on_both_frames_is_a_warp_error_of_twice_its_variance() -> None:
    rng = np.random.default_rng(0)
    noisy = [(128 + rng.normal(0, 5, (128, 128, 3))).round().astype(np.uint8) for _ in range(2)]

    error = warp_error(noisy[0], noisy[1], still(128))

    # Rounding to levels adds 1/12 to the variance of each.
    assert error == pytest.approx(2 * (25 + 1 / 12) / 255**2, rel=0.03)


def test_a_picture_that_moves_with_the_flow_has_no_warp_error(photo: Pixels) -> None:
    flow = np.full((96, 96, 2), (-3, 2), np.float32)
    known = np.zeros((96, 96), np.bool_)
    known[8:-8, 8:-8] = True

    error = warp_error(
        photo[60:156, 60:156], photo[62:158, 57:153], Correspondence(flow=flow, is_known=known)
    )

    assert error < 1e-9


def test_what_nobody_knows_is_no_error() -> None:
    assert warp_error(grey(0), grey(255), still(known=False)) == 0


def test_gradient_energy_of_a_ramp_is_its_slope_squared() -> None:
    ramp = np.repeat((np.arange(32, dtype=np.uint8) * 3)[None, :, None], 32, axis=0)

    assert gradient_energy(np.repeat(ramp, 3, axis=2)) == pytest.approx(9, rel=1e-4)


def test_gradient_energy_counts_only_the_mask() -> None:
    frame = grey(0)
    frame[:, 16:] = 200
    left = np.zeros((32, 32), np.bool_)
    left[:, :8] = True

    assert gradient_energy(frame) > 0
    assert gradient_energy(frame, left) == 0
    assert gradient_energy(frame, ~left & left) == 0


def test_edges_of_a_picture_and_of_its_negative_are_the_same(photo: Pixels) -> None:
    assert correlation(edges_of(photo), edges_of(255 - photo)) == pytest.approx(1.0)


def test_a_flat_plane_correlates_with_nothing() -> None:
    noise = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)

    assert correlation(np.ones((8, 8), np.float32), noise) == 0
    assert correlation(noise, -noise) == pytest.approx(-1)


def test_flicker_of_white_noise_is_its_variance() -> None:
    planes = np.random.default_rng(0).normal(0, 3, (3, 200, 200)).astype(np.float32)

    assert flicker_energy(*planes) == pytest.approx(9, rel=0.03)


def test_an_even_fade_does_not_flicker() -> None:
    planes = [np.full((4, 4), level, np.float32) for level in (10, 30, 50)]

    assert flicker_energy(*planes) == 0


def test_cells_are_means_of_luma() -> None:
    frame = grey(0, 16)
    frame[:8, :8] = 200

    np.testing.assert_allclose(cells_of(frame), [[200, 0], [0, 0]], atol=1e-3)


@pytest.mark.parametrize(
    ("colour", "lab"),
    [((255, 255, 255), (100, 0, 0)), ((0, 0, 0), (0, 0, 0)), ((255, 0, 0), (53.2, 80.1, 67.2))],
)
def test_mean_colour_is_cie_lab(colour: tuple[int, int, int], lab: tuple[float, ...]) -> None:
    frame = np.full((8, 8, 3), colour, np.uint8)

    np.testing.assert_allclose(mean_lab(frame), lab, atol=0.2)
