from __future__ import annotations

import numpy as np
import pytest
import torch

from streamgen.temporal.reuse import SAME_LATENT, Box, Drawn, Reuse, box_around

CELLS, SIDE = 20, 8


class Stages:
    """Latent = mean of a cell, in [0, 1]; picture = it again; counts the cells it was given."""

    def __init__(self, sizes=((10, 10), (15, 15))):
        self.sizes = sizes
        self.worked = []

    def size_for(self, height, width):
        return next((s for s in self.sizes if height <= s[0] and width <= s[1]), None)

    def encode(self, pixels):
        self.worked.append(pixels.shape[-3] * pixels.shape[-2] // SIDE**2)
        cells = torch.from_numpy(pixels).float().unflatten(-3, (-1, SIDE)).unflatten(-2, (-1, SIDE))
        return cells.mean(dim=(-4, -2)).movedim(-1, -3) / 255

    def decode(self, latent):
        self.worked.append(latent.shape[-2] * latent.shape[-1])
        if not bool(torch.isfinite(latent).all()):
            raise ValueError("NaN")
        levels = (latent * 255).round().clamp(0, 255).to(torch.uint8).movedim(-3, -1)
        return levels.repeat_interleave(SIDE, -3).repeat_interleave(SIDE, -2).numpy()


@pytest.fixture
def stages():
    return Stages()


@pytest.fixture
def reuse(stages):
    return Reuse(stages, stages)


def picture(seed=0):
    cells = np.random.default_rng(seed).integers(20, 230, (CELLS, CELLS, 3), dtype=np.uint8)
    return cells.repeat(SIDE, 0).repeat(SIDE, 1)


def with_square(pixels, top, left, level=255):
    changed = pixels.copy()
    changed[top * SIDE : (top + 1) * SIDE, left * SIDE : (left + 1) * SIDE] = level
    return changed


def redraw(reuse, drawn, pixels):
    [latent] = reuse.encode([(drawn, pixels)])
    [shown] = reuse.decode([(drawn, latent)])
    return shown


def test_a_still_picture_costs_neither_stage_anything(reuse, stages):
    drawn, pixels = Drawn(), picture()
    first = redraw(reuse, drawn, pixels)
    again = redraw(reuse, drawn, pixels.copy())
    assert np.array_equal(first, again)
    assert stages.worked == [CELLS**2] * 2


@pytest.mark.parametrize("place", [(0, 0), (0, 11), (9, 9), (19, 19), (19, 4)])
def test_a_small_change_is_drawn_as_on_the_whole(reuse, stages, place):
    drawn, pixels = Drawn(), picture()
    redraw(reuse, drawn, pixels)
    changed = with_square(pixels, *place)
    shown = redraw(reuse, drawn, changed)
    assert np.array_equal(shown, redraw(Reuse(stages, None), None, changed))
    assert stages.worked[2:4] in ([100, 100], [225, 225])


def test_what_went_away_again_is_gone(reuse):
    drawn, pixels = Drawn(), picture()
    before = redraw(reuse, drawn, pixels)
    for place in [(3, 3), (4, 3), (15, 16)]:
        redraw(reuse, drawn, with_square(pixels, *place))
    assert np.array_equal(redraw(reuse, drawn, pixels), before)


@pytest.mark.parametrize("other", [picture(1), 255 - picture()], ids=["cut", "negative"])
def test_another_scene_is_drawn_as_a_whole(reuse, stages, other):
    drawn = Drawn()
    redraw(reuse, drawn, picture())
    assert np.array_equal(redraw(reuse, drawn, other), redraw(Reuse(stages, None), None, other))
    assert stages.worked[2:4] == [CELLS**2] * 2


def test_another_drawing_of_a_still_picture_is_decoded_as_a_whole(reuse, stages):
    drawn = Drawn()
    [latent] = reuse.encode([(drawn, picture())])
    reuse.decode([(drawn, latent)])
    [shown] = reuse.decode([(drawn, 1 - latent)])
    assert np.array_equal(shown, stages.decode(1 - latent))


def test_noise_of_a_camera_is_no_change_and_a_slow_fade_is(reuse, stages):
    drawn, pixels, rng = Drawn(), picture(), np.random.default_rng(2)
    redraw(reuse, drawn, pixels)
    for _ in range(5):
        noisy = pixels + rng.normal(0, 1.5, pixels.shape).round()
        redraw(reuse, drawn, noisy.clip(0, 255).astype(np.uint8))
    assert stages.worked == [CELLS**2] * 2
    for step in range(20):
        faded = pixels - np.uint8(step)
        shown = redraw(reuse, drawn, faded)
        assert np.abs(shown.astype(int) - faded).max() <= 4 + 255 * SAME_LATENT


def test_what_is_forgotten_is_drawn_as_a_whole(reuse, stages):
    drawn = Drawn()
    redraw(reuse, drawn, picture())
    drawn.forget()
    redraw(reuse, drawn, picture())
    assert stages.worked == [CELLS**2] * 4


def test_what_others_drew_is_not_used():
    drawn, stages = Drawn(), Stages()
    redraw(Reuse(stages, stages), drawn, picture())
    redraw(Reuse(stages, stages), drawn, picture())
    assert stages.worked == [CELLS**2] * 4


def test_two_streams_have_a_picture_each(reuse):
    mine, yours = Drawn(), Drawn()
    for place in [(2, 2), (2, 3)]:
        first, second = with_square(picture(1), *place), with_square(picture(2), *place, level=0)
        asked = reuse.encode([(mine, first), (None, picture(3)), (yours, second)])
        shown = reuse.decode(list(zip((mine, None, yours), asked, strict=True)))
    assert np.array_equal(shown[0], first)
    assert np.array_equal(shown[1], picture(3))
    assert np.array_equal(shown[2], second)


def test_pictures_that_were_given_out_stay_as_they_are(reuse):
    drawn, pixels = Drawn(), picture()
    [latent] = reuse.encode([(drawn, pixels)])
    [shown] = reuse.decode([(drawn, latent)])
    kept, looked = latent.clone(), shown.copy()
    redraw(reuse, drawn, with_square(pixels, 5, 5))
    assert torch.equal(latent, kept)
    assert np.array_equal(shown, looked)


def test_not_a_number_goes_the_whole_way_which_refuses_it(reuse):
    drawn = Drawn()
    [latent] = reuse.encode([(drawn, picture())])
    reuse.decode([(drawn, latent)])
    broken = latent.clone()
    broken[0, 3, 3] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        reuse.decode([(drawn, broken)])


def test_without_crops_all_is_drawn(stages):
    drawn, reuse = Drawn(), Reuse(stages, None)
    assert not reuse.is_able
    redraw(reuse, drawn, picture())
    shown = redraw(reuse, drawn, with_square(picture(), 9, 9))
    assert np.array_equal(shown, with_square(picture(), 9, 9))


def test_a_box_is_around_all_that_is_true():
    mask = np.zeros((6, 9), bool)
    assert box_around(mask) is None
    mask[2, 7] = mask[4, 3] = True
    assert box_around(mask) == Box(2, 3, 5, 8)


def test_a_box_of_a_size_stays_in_the_picture():
    assert Box(15, 0, 20, 4).of_size((10, 10), (20, 20)) == Box(10, 0, 20, 10)
