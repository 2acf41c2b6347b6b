import pytest
import torch

from streamgen.training.styles import ACCENTS, STYLES
from streamgen.training.styles.filters import (
    blur,
    cell_colours,
    gradient_map,
    ink_lines,
    kuwahara,
    posterise,
)

EVERY = [pytest.param(style, id=style.name) for style in (*STYLES, *ACCENTS)]


def draw_picture(seed=0, size=64):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 8, 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


@pytest.mark.parametrize("style", EVERY)
def test_a_style_changes_the_picture_and_keeps_its_shape_and_range(style):
    picture = draw_picture()
    drawn = style.draw(picture)
    assert drawn.shape == picture.shape
    assert float(drawn.min()) >= 0 and float(drawn.max()) <= 1
    assert float((drawn - picture).abs().mean()) > 0.01


@pytest.mark.parametrize("style", EVERY)
def test_a_style_draws_the_same_twice_and_each_picture_alone(style):
    picture = draw_picture()
    drawn = style.draw(picture)
    torch.testing.assert_close(style.draw(picture), drawn)
    torch.testing.assert_close(style.draw(picture[1:]), drawn[1:], atol=1e-4, rtol=0)


def test_no_two_things_share_a_word():
    words = [word for style in (*STYLES, *ACCENTS) for word in style.words]
    assert len(words) == len(set(words))


def test_blur_keeps_a_flat_picture():
    flat = torch.full((1, 3, 20, 20), 0.3)
    torch.testing.assert_close(blur(flat, 2.0), flat)


def test_kuwahara_keeps_an_edge_that_blur_would_lose():
    step = torch.zeros(1, 3, 24, 24)
    step[..., 12:] = 1.0
    assert float((kuwahara(step, 4) - step).abs().max()) < 0.05
    assert float((blur(step, 2.0) - step).abs().max()) > 0.3


def test_posterise_leaves_that_many_levels():
    ramp = torch.linspace(0, 1, 400).view(1, 1, 20, 20).expand(1, 3, 20, 20)
    assert len(posterise(ramp, 4, softness=1e-6).mul(1e4).round().unique()) <= 6


def test_gradient_map_hits_its_stops():
    grey = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
    mapped = gradient_map(grey, [(0, 0, 0), (1, 0, 0), (1, 1, 1)])
    torch.testing.assert_close(mapped[0, :, 0].T, torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 1]]))


def test_cells_hold_their_mean_even_at_the_border():
    picture = torch.rand(1, 3, 20, 20)
    cells = cell_colours(picture, 8)
    torch.testing.assert_close(cells[..., 0, 0], picture[..., :8, :8].mean(dim=(2, 3)))
    assert cells.shape == picture.shape


def test_ink_lines_are_white_on_flat_bright_ground():
    assert (
        float(ink_lines(torch.full((1, 3, 24, 24), 0.8), sigma_px=1, sharpness=20, level=0).min())
        > 0.99
    )
