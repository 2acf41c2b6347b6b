"""Motion between two frames whose motion is known."""

import pytest
import torch

from streamgen.temporal.motion import MotionEstimator

CELLS = (16, 16)


def motion_between(before, now):
    estimator = MotionEstimator(cells=CELLS)
    assert estimator.see(before) is None
    return estimator.see(now)


def test_the_same_frame_again_is_neither_moved_nor_changed(scene, view):
    motion = motion_between(view(scene()), view(scene()))

    assert not motion.flow.any() and not motion.fine.any()
    assert not motion.change.any() and not motion.change_in_place.any()
    assert not motion.is_cut
    assert motion.flow.shape == (2, *CELLS) and motion.change.shape == CELLS


@pytest.mark.parametrize("levels", [2.0, 6.0])
def test_the_noise_of_a_sensor_is_no_change(scene, view, levels):
    first, second = (view(scene(), noise=levels, seed=seed) for seed in (1, 2))

    motion = motion_between(first, second)

    assert float(motion.change.mean()) < 0.01
    assert (motion.flow == 0).all(dim=0).float().mean() > 0.9


@pytest.mark.parametrize("step", [(3.0, 0.0), (0.7, -0.4), (-5.0, 6.0)])
def test_a_pan_is_found_and_is_no_change(scene, view, step):
    ground = scene()

    motion = motion_between(
        view(ground, at=(20.0, 20.0)), view(ground, at=(20 + step[0], 20 + step[1]))
    )

    # The camera went by `step`, so what is here now was so much further on; a cell is 8 pixels.
    inner = motion.flow[:, 3:-3, 3:-3]
    wanted = torch.tensor(step).view(2, 1, 1) / 8
    assert float((inner - wanted).norm(dim=0).median()) < 0.03
    assert float(motion.change[3:-3, 3:-3].mean()) < 0.05
    assert float(motion.change_in_place.mean()) > float(motion.change.mean())
    assert not motion.is_cut


def test_something_that_appears_is_change_where_it_is_and_nowhere_else(scene, view):
    before = view(scene())
    now = before.copy()
    now[40:72, 40:72] = (255, 0, 255)

    change = motion_between(before, now).change

    assert float(change[6:8, 6:8].min()) > 0.9
    assert float(change[:, 12:].max()) == 0.0 and float(change[12:].max()) == 0.0


def test_after_forgetting_the_next_frame_is_the_first(scene, view):
    estimator = MotionEstimator(cells=CELLS)
    estimator.see(view(scene()))
    estimator.forget()

    assert estimator.see(view(scene())) is None


@pytest.mark.parametrize(
    ("cells", "shape"), [((2, 16), (16, 128)), ((16, 2), (128, 16)), ((2, 2), (16, 16))]
)
def test_narrow_and_small_pictures_are_compared_as_well(cells, shape, scene, view):
    ground = view(scene())
    estimator = MotionEstimator(cells=cells)
    estimator.see(ground[: shape[0], : shape[1]].copy())

    motion = estimator.see(ground[: shape[0], : shape[1]].copy())

    assert motion is not None and motion.change.shape == cells and not motion.change.any()
