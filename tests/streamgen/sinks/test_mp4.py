from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamgen.errors import ConfigError, SinkError
from streamgen.frame import Colour, Frame
from streamgen.sinks import H264Options, open_sink
from streamgen.sources import open_source

MakeFilm = Callable[..., Any]


def write(path: Path, film: Any, **options: Any) -> list[str]:
    with open_sink(path, film.info, **options) as sink:
        for frame in film.frames:
            sink.write(frame)
    return sink.notes


def read(path: Path) -> list[Frame]:
    with open_source(path) as source:
        return list(source.frames())


def times(frames: list[Frame]) -> list[Fraction]:
    return [frame.stamp.pts * frame.stamp.time_base for frame in frames]


def bars() -> np.ndarray[Any, np.dtype[np.uint8]]:
    colours = [[191, 191, 0], [0, 191, 191], [191, 0, 0], [0, 0, 191], [255] * 3, [0] * 3]
    row = np.array(colours, np.uint8).repeat(16, axis=0)
    return np.ascontiguousarray(np.broadcast_to(row, (48, 96, 3)))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".MP4"])
def test_a_film_plays_with_all_its_frames(tmp_path: Path, make_film: MakeFilm, suffix: str) -> None:
    film = make_film()
    write(tmp_path / f"out{suffix}", film)
    frames = read(tmp_path / f"out{suffix}")
    assert times(frames) == times(film.frames)
    for got, given in zip(frames, film.frames, strict=True):
        assert np.abs(got.pixels.astype(int) - given.pixels).max() <= 4


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_colour_bars_come_back_within_three_levels(
    tmp_path: Path, make_film: MakeFilm, matrix: Any, full_range: bool
) -> None:
    colour = Colour(matrix=matrix, full_range=full_range)
    film = make_film(size=(96, 48), colour=colour, pixels=bars())
    write(tmp_path / "out.mp4", film, encoding=H264Options(crf=10))
    with open_source(tmp_path / "out.mp4") as source:
        read_back = source.info.colour
        assert (read_back.matrix, read_back.full_range) == (matrix, full_range)
        pixels = next(source.frames()).pixels
    middles = pixels[24, 8::16].astype(int)
    assert np.abs(middles - bars()[24, 8::16]).max() <= 3


def test_uneven_time_stamps_are_kept(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film(pts=[0, 7, 9, 40, 41, 90, 1000, 1001], time_base=Fraction(1, 1000))
    write(tmp_path / "out.mp4", film)
    assert times(read(tmp_path / "out.mp4")) == times(film.frames)


def test_the_last_of_uneven_frames_lasts_as_long_as_the_one_before(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    write(
        tmp_path / "out.mp4", make_film(pts=[0, 1, 4, 5, 9, 12, 20, 21], time_base=Fraction(1, 50))
    )
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(22, 50)
        assert stream.average_rate == 8 / Fraction(22, 50)


def test_time_stamps_without_a_rate_are_kept(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film(pts=[0, 3003, 6100, 9009], time_base=Fraction(1, 90000), rate=None)
    write(tmp_path / "out.mp4", film)
    assert times(read(tmp_path / "out.mp4")) == times(film.frames)


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25, 2), Fraction(60)])
def test_rate_and_count_are_those_of_the_source(
    tmp_path: Path, make_film: MakeFilm, rate: Fraction
) -> None:
    write(tmp_path / "out.mp4", make_film(rate=rate, time_base=1 / rate))
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.frames) == (rate, 10)
        assert stream.duration is not None and stream.time_base is not None
        assert stream.duration * stream.time_base == 10 / rate


def test_a_single_frame_is_a_film(tmp_path: Path, make_film: MakeFilm) -> None:
    write(tmp_path / "out.mp4", make_film(pts=[0]))
    assert len(read(tmp_path / "out.mp4")) == 1


def test_a_film_that_begins_late_begins_at_zero(tmp_path: Path, make_film: MakeFilm) -> None:
    write(tmp_path / "out.mp4", make_film(pts=[100, 101, 105]))
    assert times(read(tmp_path / "out.mp4")) == [0, Fraction(1, 25), Fraction(5, 25)]


def test_odd_sides_get_a_repeat_of_the_last(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film(size=(63, 47))
    write(tmp_path / "out.mp4", film)
    pixels = read(tmp_path / "out.mp4")[5].pixels
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.astype(int) - film.frames[5].pixels[0, 0]).max() <= 4


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (7680, 4320)])
def test_any_size_can_be_written(
    tmp_path: Path, make_film: MakeFilm, size: tuple[int, int]
) -> None:
    write(tmp_path / "out.mp4", make_film(size=size, pts=[0]))
    assert len(read(tmp_path / "out.mp4")) == 1


def test_the_index_is_at_the_front(tmp_path: Path, make_film: MakeFilm) -> None:
    write(tmp_path / "out.mp4", make_film())
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_accepts_the_file(tmp_path: Path, make_film: MakeFilm) -> None:
    write(tmp_path / "out.mp4", make_film(colour=Colour(matrix="bt709")))
    command = ["ffprobe", "-v", "error", "-show_streams", "-of", "json", f"{tmp_path}/out.mp4"]
    said = subprocess.run(command, capture_output=True, check=True, text=True)
    stream = json.loads(said.stdout)["streams"][0]
    assert said.stderr == ""
    assert (stream["nb_frames"], stream["avg_frame_rate"]) == ("10", "25/1")
    assert (stream["color_space"], stream["color_range"]) == ("bt709", "tv")


def test_nothing_has_the_final_name_before_the_end(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film()
    with open_sink(tmp_path / "out.mp4", film.info) as sink:
        sink.write(film.frames[0])
        assert not (tmp_path / "out.mp4").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_film_finished_early_plays(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film()
    sink = open_sink(tmp_path / "out.mp4", film.info)
    for frame in film.frames[:3]:
        sink.write(frame)
    sink.finish()
    sink.finish()
    assert len(read(tmp_path / "out.mp4")) == 3


def test_an_error_leaves_nothing(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film()
    with pytest.raises(RuntimeError), open_sink(tmp_path / "out.mp4", film.info) as sink:
        sink.write(film.frames[0])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_film_without_frames_is_an_error_and_leaves_nothing(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    sink = open_sink(tmp_path / "out.mp4", make_film().info)
    with pytest.raises(SinkError, match="no frame was written"):
        sink.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_exists_is_kept_unless_told(tmp_path: Path, make_film: MakeFilm) -> None:
    (tmp_path / "out.mp4").write_text("precious")
    with pytest.raises(SinkError, match="--overwrite"):
        open_sink(tmp_path / "out.mp4", make_film().info)
    assert (tmp_path / "out.mp4").read_text() == "precious"


def test_overwriting_happens_at_the_end_only(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film()
    (tmp_path / "out.mp4").write_text("precious")
    sink = open_sink(tmp_path / "out.mp4", film.info, overwrite=True)
    sink.write(film.frames[0])
    assert (tmp_path / "out.mp4").read_text() == "precious"
    sink.abandon()
    assert (tmp_path / "out.mp4").read_text() == "precious"
    write(tmp_path / "out.mp4", film, overwrite=True)
    assert len(read(tmp_path / "out.mp4")) == 10


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film()
    sink = open_sink(tmp_path / "out.mp4", film.info)
    sink.write(film.frames[0])
    (tmp_path / "out.mp4").write_text("precious")
    with pytest.raises(
        SinkError, match=r"appeared in the meantime; the result is kept as '.*\.mp4'"
    ):
        sink.finish()
    assert (tmp_path / "out.mp4").read_text() == "precious"
    (kept,) = tmp_path.glob(".out.partial-*.mp4")
    assert len(read(kept)) == 1


@pytest.mark.parametrize("name", ["clip.mp4", "link.mp4", "sub/../clip.mp4"])
def test_the_input_is_never_written_over(tmp_path: Path, make_film: MakeFilm, name: str) -> None:
    source = tmp_path / "clip.mp4"
    source.write_text("precious")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.mp4").symlink_to(source)
    with pytest.raises(SinkError, match="is the input"):
        open_sink(tmp_path / name, make_film().info, source_path=source, overwrite=True)
    assert source.read_text() == "precious"


def test_a_missing_folder_is_named(tmp_path: Path, make_film: MakeFilm) -> None:
    with pytest.raises(SinkError, match="the folder '.*gone' does not exist"):
        open_sink(tmp_path / "gone" / "out.mp4", make_film().info)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, make_film: MakeFilm) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(SinkError, match="notes' is not a folder"):
        open_sink(tmp_path / "notes" / "out.mp4", make_film().info)


def test_a_folder_named_like_a_film_is_an_error(tmp_path: Path, make_film: MakeFilm) -> None:
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(SinkError, match="is a folder; name a file"):
        open_sink(tmp_path / "out.mp4", make_film().info)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_named(make_film: MakeFilm) -> None:
    with pytest.raises(SinkError, match="'/proc/out.mp4' cannot be written"):
        open_sink("/proc/out.mp4", make_film().info)


def test_a_frame_of_another_size_is_an_error(tmp_path: Path, make_film: MakeFilm) -> None:
    film, other = make_film(), make_film(size=(32, 32))
    match = "32x32, expected 64x48"
    with pytest.raises(SinkError, match=match), open_sink(tmp_path / "o.mp4", film.info) as sink:
        sink.write(other.frames[0])
    assert list(tmp_path.iterdir()) == []


def test_time_never_goes_back(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film(pts=[5, 4])
    with pytest.raises(SinkError, match="time stamp 4 comes after 5"):
        write(tmp_path / "out.mp4", film)


def test_a_closed_film_takes_no_frame(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film()
    sink = open_sink(tmp_path / "out.mp4", film.info)
    sink.abandon()
    with pytest.raises(SinkError, match="is closed"):
        sink.write(film.frames[0])


def test_options_of_the_encoder_are_checked() -> None:
    with pytest.raises(ConfigError, match="crf 52"):
        H264Options(crf=52)
    with pytest.raises(ConfigError, match="preset 'quick': choose ultrafast"):
        H264Options(preset="quick")


LIMITED = """
import resource, sys
import numpy as np
from fractions import Fraction
from streamgen.errors import SinkError
from streamgen.frame import Colour, Frame, Stamp, VideoInfo
from streamgen.sinks import open_sink

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
base = Fraction(1, 25)
info = VideoInfo(width=128, height=96, rate=Fraction(25), time_base=base, frame_count=None,
                 colour=Colour(matrix="bt601"))
noise = np.random.default_rng(0).integers(0, 256, (60, 96, 128, 3), np.uint8)
try:
    with open_sink(sys.argv[1], info) as sink:
        for n, pixels in enumerate(noise):
            stamp = Stamp(index=n, pts=n, time_base=base, ingest_ns=0)
            sink.write(Frame(pixels=pixels, stamp=stamp))
except SinkError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are a Unix thing")
@pytest.mark.parametrize(
    ("name", "limit"),
    [("out.mp4", 10), ("out.mp4", 20_000), ("out.mp4", 200_000), ("out/", 20_000)],
)
def test_a_file_that_may_not_grow_is_removed(tmp_path: Path, name: str, limit: int) -> None:
    command = [sys.executable, "-c", LIMITED, f"{tmp_path}/{name}", str(limit)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "cannot be written" in said.stderr and "largest size that is allowed" in said.stderr
    assert "Traceback" not in said.stderr
    assert list(tmp_path.iterdir()) == []
