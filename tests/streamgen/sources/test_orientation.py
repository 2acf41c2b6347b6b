from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from streamgen.sources.orientation import Orientation, from_angle, from_display_matrix, from_exif

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize("tag", range(1, 9))
def test_every_exif_tag_turns_as_pillow_does(tag: int) -> None:
    image = Image.fromarray(PIXELS)
    image.getexif()[274] = tag
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(from_exif(tag).turn(PIXELS), expected)


def test_a_quarter_turn_is_counter_clockwise() -> None:
    assert np.array_equal(from_angle(90).turn(PIXELS), np.rot90(PIXELS))
    assert np.array_equal(from_angle(-90).turn(PIXELS), np.rot90(PIXELS, -1))


def test_matrices_of_quarter_turns_agree_with_their_angles() -> None:
    one = 65536
    assert from_display_matrix([0, -one, 0, one, 0, 0, 0, 0, 1 << 30]) == from_angle(90)
    assert from_display_matrix([-one, 0, 0, 0, -one, 0, 0, 0, 1 << 30]) == from_angle(180)
    assert from_display_matrix([0, one, 0, -one, 0, 0, 0, 0, 1 << 30]) == from_angle(270)


def test_a_mirroring_matrix_flips_left_and_right() -> None:
    matrix = [-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30]
    assert from_display_matrix(matrix) == Orientation(flip_x=True)
