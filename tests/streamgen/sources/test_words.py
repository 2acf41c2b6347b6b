from __future__ import annotations

from fractions import Fraction

import pytest

from streamgen.errors import SourceError
from streamgen.sources import Size, open_source


def test_words_have_stamps_and_no_picture() -> None:
    with open_source("words:?frames=3&rate=10", size=Size(32, 16)) as source:
        frames = list(source.frames())
    assert not source.has_picture
    assert [frame.stamp.index for frame in frames] == [0, 1, 2]
    assert frames[2].stamp.seconds == pytest.approx(0.2)
    assert (source.info.width, source.info.height, source.info.rate) == (32, 16, Fraction(10))


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        ("words:cat", "write words: or words:"),
        ("words:?frames=0", "frames are at least 1"),
        ("words:?colour=red", "words: option 'colour': allowed are frames, size, rate"),
    ],
)
def test_what_words_cannot_be_is_named(location: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        open_source(location)
