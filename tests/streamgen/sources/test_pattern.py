from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from streamgen.errors import SourceError
from streamgen.sources import Size, open_source


def test_the_pattern_has_the_options_asked_for() -> None:
    with open_source("test:pattern?frames=12&size=64x48&rate=30000/1001") as source:
        frames = list(source.frames())
    assert len(frames) == source.info.frame_count == 12
    assert (frames[0].width, frames[0].height) == (64, 48)
    assert frames[1].stamp.seconds == pytest.approx(1001 / 30000)


def test_the_pattern_is_endless_by_default() -> None:
    with open_source("test:pattern") as source:
        assert source.info.frame_count is None
        assert [frame.stamp.index for frame in islice(source.frames(), 3)] == [0, 1, 2]


def test_the_pattern_moves_and_repeats_itself_in_every_run() -> None:
    first, again = (
        [frame.pixels for frame in open_source("test:pattern?frames=2&size=64").frames()]
        for _ in range(2)
    )
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], first[1])


def test_the_pattern_is_drawn_at_the_size_asked_for() -> None:
    with open_source("test:pattern?frames=1&size=64", size=Size(16, 16)) as source:
        assert next(source.frames()).pixels.shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("test:pattern?speed=2", "option 'speed': allowed are frames, size, rate"),
        ("test:pattern?frames", "write name=value"),
        ("test:pattern?frames=0", "at least 1"),
        ("test:pattern?frames=many", "many"),
        ("test:pattern?rate=nan", "nan"),
        ("test:pattern?rate=1/0", "1"),
        ("test:pattern?rate=-1", "from 1/100 to 1000"),
        ("test:pattern?size=0", "at least 1 pixel"),
        ("test:bars", "only test picture is test:pattern"),
    ],
)
def test_a_wrong_option_is_named(location: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(location)


@pytest.mark.parametrize("rate", ["3.14159265358979", "1e30", "1/1000000"])
def test_rates_that_no_file_can_count_in_are_refused(rate: str) -> None:
    with pytest.raises(SourceError, match="allowed is from 1/100 to 1000"):
        open_source(f"test:pattern?frames=2&rate={rate}")
