from __future__ import annotations

import numpy as np
import pytest

from streamgen.evaluation.correspondence import estimate, is_inside, moved
from streamgen.frame import Pixels


def test_flow_of_a_shifted_picture_is_the_shift_backward(photo: Pixels) -> None:
    before, after = photo[60:156, 60:156], photo[62:158, 57:153]

    found = estimate(before, after)

    # What is at x now was at x - 3 before, and at y + 2.
    middle = found.flow[16:-16, 16:-16]
    np.testing.assert_allclose(np.median(middle, axis=(0, 1)), (-3, 2), atol=0.2)
    assert found.is_known[16:-16, 16:-16].mean() > 0.8


def test_a_still_picture_has_no_flow_and_is_known_everywhere(photo: Pixels) -> None:
    found = estimate(photo[:96, :96], photo[:96, :96])

    assert np.abs(found.flow).max() < 0.01
    assert found.is_known.all()


def test_a_picture_that_has_nothing_to_do_with_the_last_is_mostly_unknown(photo: Pixels) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)

    assert estimate(photo[:96, :96], noise).is_known.mean() < 0.5


def test_a_plane_is_moved_by_whole_pixels_without_loss() -> None:
    before = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    flow = np.full((16, 16, 2), (2, 1), np.float32)

    there = moved(before, flow)

    np.testing.assert_allclose(there[:15, :14], before[1:, 2:], atol=1e-4)


@pytest.mark.parametrize(("offset", "count"), [((0, 0), 16), ((1, 0), 12), ((-2, -2), 4)])
def test_what_comes_from_outside_is_told(offset: tuple[int, int], count: int) -> None:
    flow = np.full((4, 4, 2), offset, np.float32)

    assert int(is_inside(flow).sum()) == count
