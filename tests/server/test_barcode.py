from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.barcode import MAX_NUMBER, Numbers, read, write
from streamgen.frame import Pixels
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size


def busy(width: int, height: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(
    number=st.integers(0, MAX_NUMBER), size=st.sampled_from([(256, 256), (640, 480), (333, 517)])
)
@settings(max_examples=40, deadline=None)
def test_every_number_reads_back(number: int, size: tuple[int, int]) -> None:
    pixels = busy(*size)
    write(pixels, number)
    assert read(pixels) == number


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1280, 720), (1279, 719), (3840, 2160)])
def test_number_survives_the_crop_to_a_square_model(size: tuple[int, int]) -> None:
    pixels = busy(*size)
    write(pixels, 654_321)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    small = Converter(Size(256, 256), fit="crop").convert(frame, Stance())
    assert read(small) == 654_321


def test_picture_without_a_strip_has_no_number() -> None:
    assert read(busy(256, 256)) is None
    assert read(np.zeros((256, 256, 3), np.uint8)) is None
    assert read(np.zeros((8, 8, 3), np.uint8)) is None


def test_mirrored_strip_is_not_taken_for_another_number() -> None:
    pixels = busy(256, 256)
    write(pixels, 77)
    assert read(pixels[:, ::-1]) is None


def test_strip_with_one_wrong_cell_is_not_trusted() -> None:
    pixels = busy(256, 256)
    write(pixels, 77)
    pixels[0:16, 48:64] = 255 - pixels[0:16, 48:64]
    assert read(pixels) is None


def test_number_outside_its_range_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="barcode 1048576: choose 0 to 1048575"):
        write(busy(64, 64), MAX_NUMBER + 1)


def test_only_the_last_numbers_are_kept() -> None:
    numbers = Numbers(keep=2)
    for index in range(3):
        numbers.note(index, 10 + index)
    assert [numbers.of(index) for index in range(3)] == [None, 11, 12]
