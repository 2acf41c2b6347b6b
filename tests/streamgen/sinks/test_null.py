from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamgen.errors import SinkError
from streamgen.sinks import open_sink
from streamgen.sinks.null import NullSink


def test_null_counts_the_frames(make_film: Callable[..., Any]) -> None:
    film = make_film()
    with open_sink("null:", film.info) as sink:
        for frame in film.frames:
            sink.write(frame)
    assert isinstance(sink, NullSink)
    assert sink.frames == 10


@pytest.mark.parametrize("location", ["out.avi", "out", "nul:", ""])
def test_an_unknown_output_lists_what_is_allowed(
    make_film: Callable[..., Any], location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SinkError, match=r"allowed are null:, .*\.mp4 or \.mov, .*folder"):
        open_sink(location, make_film().info)
