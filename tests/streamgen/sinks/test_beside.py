from __future__ import annotations

import numpy as np
import pytest

from streamgen.sinks import beside


def test_the_first_picture_is_on_the_left() -> None:
    left, right = np.zeros((4, 3, 3), np.uint8), np.full((4, 5, 3), 9, np.uint8)
    both = beside(left, right)
    assert both.shape == (4, 8, 3)
    assert np.array_equal(both[:, :3], left) and np.array_equal(both[:, 3:], right)


def test_heights_that_differ_are_named() -> None:
    with pytest.raises(ValueError, match="heights 4 and 5"):
        beside(np.zeros((4, 3, 3), np.uint8), np.zeros((5, 3, 3), np.uint8))
