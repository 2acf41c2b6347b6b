"""Time for what is drawn from words alone: frames without a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from streamgen.errors import SourceError
from streamgen.frame import Frame, VideoInfo
from streamgen.sources.geometry import Rect
from streamgen.sources.made import read_made, stamps
from streamgen.sources.protocol import Source, SourceOptions


def open_words(location: str, options: SourceOptions) -> WordsSource:
    """Open words:?frames=120&size=512x512&rate=30; without `frames` it never ends."""
    name, _, query = location.partition("?")
    if name != "words:":
        raise SourceError(f"input {location!r}: write words: or words:?frames=120")
    return WordsSource(read_made(name, query, options), clock=options.clock)


class WordsSource(Source):
    """Black frames: only their stamps count."""

    has_picture = False

    def __init__(self, info: VideoInfo, *, clock: Callable[[], int]) -> None:
        self.info = info
        self.content = Rect(0, 0, info.width, info.height)
        self.audio: Path | None = None
        self._clock = clock

    def frames(self) -> Iterator[Frame]:
        """Yield the stamps; all frames share one array."""
        black = np.zeros((self.info.height, self.info.width, 3), np.uint8)
        for stamp in stamps(self.info, self._clock):
            yield Frame(pixels=black, stamp=stamp)

    def close(self) -> None:
        """Nothing is open."""
