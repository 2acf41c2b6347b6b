"""What a film says of its colours is what its source said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamgen.frame import Colour
from streamgen.sinks import open_sink
from streamgen.sources import open_source

MakeFilm = Callable[..., Any]
PQ = Colour(matrix="bt2020", primaries=9, transfer=16)
HLG = Colour(matrix="bt2020", primaries=9, transfer=18)
P3 = Colour(matrix="bt709", primaries=12, transfer=1)


def write(location: str | Path, film: Any) -> list[str]:
    with open_sink(location, film.info) as sink:
        for frame in film.frames:
            sink.write(frame)
    return sink.notes


def tags(path: Path) -> tuple[int, int, int]:
    """Matrix, primaries and transfer, by the numbers of ITU-T H.273."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.colorspace, frame.color_primaries, frame.color_trc


@pytest.mark.parametrize("colour", [PQ, HLG, P3])
@pytest.mark.parametrize("name", ["o.mp4", "o.mov"])
def test_transfer_and_primaries_are_carried(
    tmp_path: Path, make_film: MakeFilm, colour: Colour, name: str
) -> None:
    write(tmp_path / name, make_film(colour=colour))
    assert tags(tmp_path / name)[1:] == (colour.primaries, colour.transfer)
    with open_source(tmp_path / name) as source:
        assert source.info.colour == colour


@pytest.mark.parametrize(
    ("matrix", "expected"), [("bt601", (6, 6, 6)), ("bt709", (1, 1, 1)), ("bt2020", (9, 9, 14))]
)
def test_untold_transfer_and_primaries_are_those_of_the_matrix(
    tmp_path: Path, make_film: MakeFilm, matrix: Any, expected: tuple[int, int, int]
) -> None:
    write(tmp_path / "o.mp4", make_film(colour=Colour(matrix=matrix)))
    assert tags(tmp_path / "o.mp4") == expected


@pytest.mark.parametrize("transfer", [16, 18])
def test_an_hdr_film_looks_as_before(tmp_path: Path, make_film: MakeFilm, transfer: int) -> None:
    given = tmp_path / "hdr.mp4"
    grey = np.full((48, 64, 3), 120, np.uint8)
    with av.open(str(given), "w") as output:
        # x265 takes the decoding time of a film of one or two pictures with B-frames from memory
        # that it never wrote, and the muxer refuses what it finds there.
        settings = {"x265-params": "log-level=none:bframes=0"}
        stream = output.add_stream("libx265", rate=25, options=settings)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = 64, 48, "yuv420p10le"
        context.colorspace, context.color_primaries, context.color_trc = 9, 9, transfer
        context.color_range = 1
        picture = VideoFrame.from_ndarray(grey, format="rgb24").reformat(
            format="yuv420p10le", dst_colorspace=9, dst_color_range=1
        )
        picture.pts = 0
        output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    with open_source(given) as source, open_sink(tmp_path / "o.mp4", source.info) as sink:
        for frame in source.frames():
            sink.write(frame)
    assert tags(tmp_path / "o.mp4") == tags(given) == (9, 9, transfer)
    with av.open(str(tmp_path / "o.mp4")) as container:
        luma = next(container.decode(video=0)).to_ndarray()[:48]
    assert np.abs(luma.astype(int) - (16 + 120 * 219 / 255)).max() <= 2


def test_pictures_of_an_hdr_film_are_said_to_look_dull(tmp_path: Path, make_film: MakeFilm) -> None:
    (note,) = write(f"{tmp_path}/pq/", make_film(colour=PQ))
    assert note.startswith("the pictures look dull: their brightness is that of HDR (PQ)")
    assert write(f"{tmp_path}/sdr/", make_film()) == []
