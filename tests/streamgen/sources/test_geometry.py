from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamgen.errors import ConfigError
from streamgen.sources.geometry import (
    FITS,
    Fit,
    Rect,
    Size,
    check_fit,
    default_size,
    parse_size,
    place,
    upright_size,
)

sides = st.integers(1, 8000)


def test_one_number_is_a_square() -> None:
    assert parse_size("256") == Size(256, 256)


def test_two_numbers_are_width_and_height() -> None:
    assert parse_size("448x256") == Size(448, 256)


@pytest.mark.parametrize("text", ["", "0", "0x64", "64x0", "-64", "64x", "nan", "1e3", "64x64x64"])
def test_a_size_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="size"):
        parse_size(text)


def test_an_unknown_fit_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match="fit 'fill': choose crop, letterbox, stretch"):
        check_fit("fill")


def test_crop_cuts_the_sides_of_a_wide_picture() -> None:
    placement = place(Size(1920, 1080), Size(256, 256), fit="crop")
    assert placement.scaled == Size(455, 256)
    assert placement.crop == Rect(99, 0, 256, 256)
    assert placement.content == Rect(0, 0, 256, 256)


def test_letterbox_leaves_bars_above_and_below_a_wide_picture() -> None:
    placement = place(Size(1920, 1080), Size(256, 256), fit="letterbox")
    assert placement.scaled == Size(256, 144)
    assert placement.content == Rect(0, 56, 256, 144)


def test_stretch_ignores_the_aspect() -> None:
    placement = place(Size(1920, 1080), Size(256, 256), fit="stretch")
    assert placement.scaled == Size(256, 256)


@given(sides, sides, st.integers(16, 1024), st.integers(16, 1024), st.sampled_from(FITS))
def test_the_cropped_part_always_fills_the_content(
    w: int, h: int, tw: int, th: int, fit: Fit
) -> None:
    placement = place(Size(w, h), Size(tw, th), fit=fit)
    crop, content = placement.crop, placement.content
    assert (crop.width, crop.height) == (content.width, content.height)
    assert crop.x >= 0 and crop.x + crop.width <= placement.scaled.width
    assert crop.y >= 0 and crop.y + crop.height <= placement.scaled.height
    assert content.x >= 0 and content.x + content.width <= tw
    assert content.y >= 0 and content.y + content.height <= th


def test_wide_pixels_widen_the_picture_before_it_is_turned() -> None:
    size = upright_size(Size(720, 576), sample_aspect=Fraction(16, 11), transpose=True)
    assert size == Size(576, 1047)


def test_default_size_keeps_sixteen_to_nine() -> None:
    assert default_size(1920, 1080, area=256 * 256, multiple=8) == Size(344, 192)


def test_default_size_of_a_square_is_square() -> None:
    assert default_size(999, 999, area=512 * 512, multiple=64) == Size(512, 512)


@given(st.integers(16, 8000), st.integers(16, 8000), st.sampled_from([8, 16, 64]))
def test_default_size_is_made_of_multiples(width: int, height: int, multiple: int) -> None:
    size = default_size(width, height, area=256 * 256, multiple=multiple)
    assert size.width % multiple == size.height % multiple == 0
