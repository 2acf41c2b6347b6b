from fractions import Fraction

import numpy as np
import pytest

from streamgen.frame import Frame, Stamp


def stamp():
    return Stamp(index=3, pts=9, time_base=Fraction(1, 30), ingest_ns=5)


def test_a_redrawn_frame_keeps_the_stamp_and_tells_its_revision():
    frame = Frame(pixels=np.zeros((4, 6, 3), np.uint8), stamp=stamp())
    drawn = frame.redrawn(np.ones((2, 2, 3), np.uint8), revision=7)
    assert (drawn.stamp.index, drawn.stamp.pts, drawn.stamp.revision) == (3, 9, 7)
    assert (drawn.width, drawn.height, drawn.stamp.seconds) == (2, 2, 0.3)


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 6), np.uint8), np.zeros((4, 6, 3), np.float32), np.zeros((4, 6, 4))]
)
def test_anything_but_rgb_bytes_is_refused(pixels):
    with pytest.raises(ValueError, match="a frame is uint8"):
        Frame(pixels=pixels, stamp=stamp())
