from __future__ import annotations

import numpy as np
import pytest
from av.video.frame import VideoFrame

from streamgen.frame import Colour
from streamgen.sources.colour import colour_of


def tagged(*, matrix: int, primaries: int, transfer: int) -> VideoFrame:
    frame = VideoFrame.from_ndarray(np.zeros((72, 64), np.uint8), format="yuv420p")
    frame.colorspace, frame.color_range = matrix, 1
    frame.color_primaries, frame.color_trc = primaries, transfer
    return frame


@pytest.mark.parametrize(("primaries", "transfer"), [(9, 16), (9, 18), (12, 1), (5, 6)])
def test_primaries_and_transfer_are_read_as_tagged(primaries: int, transfer: int) -> None:
    colour = colour_of(tagged(matrix=9, primaries=primaries, transfer=transfer))
    assert colour == Colour(matrix="bt2020", primaries=primaries, transfer=transfer)


@pytest.mark.parametrize("number", [0, 2, 3])
def test_what_means_nothing_is_left_untold(number: int) -> None:
    colour = colour_of(tagged(matrix=1, primaries=number, transfer=number))
    assert colour == Colour(matrix="bt709", primaries=None, transfer=None)
