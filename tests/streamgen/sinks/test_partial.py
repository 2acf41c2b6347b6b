"""What is there before a run, and what another run makes, survives any end of this run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streamgen.errors import SinkError
from streamgen.sinks import open_sink
from streamgen.sinks.protocol import Sink
from streamgen.sources import open_source

MakeFilm = Callable[..., Any]


def write(location: str | Path, film: Any, **options: Any) -> None:
    with open_sink(location, film.info, **options) as sink:
        for frame in film.frames:
            sink.write(frame)


def begin(location: str | Path, film: Any, **options: Any) -> Sink:
    """Write everything but the end."""
    sink = open_sink(location, film.info, **options)
    for frame in film.frames:
        sink.write(frame)
    return sink


def count(path: Path) -> int:
    with open_source(path) as source:
        return sum(1 for _ in source.frames())


def hidden(folder: Path) -> list[Path]:
    return list(folder.glob(".*"))


@pytest.mark.parametrize("name", [".out.partial.mp4", ".out.mp4", "out.partial.mp4"])
def test_an_input_that_is_named_like_a_half_written_film_is_kept(
    tmp_path: Path, make_film: MakeFilm, name: str
) -> None:
    source = tmp_path / name
    source.write_text("precious")
    write(tmp_path / "out.mp4", make_film(), source_path=source)
    assert source.read_text() == "precious"
    assert count(tmp_path / "out.mp4") == 10


def test_an_input_that_is_named_like_a_half_written_folder_is_kept(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    source = tmp_path / ".pics.partial"
    source.mkdir()
    (source / "000000.png").write_text("precious")
    write(f"{tmp_path}/pics/", make_film(), source_path=source)
    assert (source / "000000.png").read_text() == "precious"


@pytest.mark.parametrize("place", ["pics", "link"])
def test_a_picture_in_the_folder_of_the_output_is_never_the_input(
    tmp_path: Path, make_film: MakeFilm, place: str
) -> None:
    write(f"{tmp_path}/pics/", make_film())
    (tmp_path / "link").symlink_to(tmp_path / "pics")
    source = tmp_path / place / "000003.png"
    with pytest.raises(SinkError, match="holds the input"):
        open_sink(f"{tmp_path}/pics/", make_film().info, source_path=source, overwrite=True)
    assert source.exists()


def test_what_a_dead_run_left_is_not_touched(tmp_path: Path, make_film: MakeFilm) -> None:
    dead = begin(tmp_path / "out.mp4", make_film(pts=[0, 1]))
    (left,) = hidden(tmp_path)
    before = left.read_bytes()
    write(tmp_path / "out.mp4", make_film())
    assert left.read_bytes() == before
    dead.abandon()
    assert count(tmp_path / "out.mp4") == 10


@pytest.mark.parametrize("name", ["out.mp4", "out/"])
def test_the_later_of_two_runs_leaves_the_result_of_the_first(
    tmp_path: Path, make_film: MakeFilm, name: str
) -> None:
    location = f"{tmp_path}/{name}"
    first, second = begin(location, make_film()), begin(location, make_film(pts=[0, 1]))
    first.finish()
    with pytest.raises(SinkError, match="the result is kept as"):
        second.finish()
    second.abandon()
    assert count(tmp_path / name) == 10
    (kept,) = hidden(tmp_path)
    assert count(kept) == 2


@pytest.mark.parametrize("name", ["out.mp4", "out/"])
def test_the_later_of_two_runs_replaces_the_result_if_told(
    tmp_path: Path, make_film: MakeFilm, name: str
) -> None:
    location = f"{tmp_path}/{name}"
    first = begin(location, make_film())
    second = begin(location, make_film(pts=[0, 1]), overwrite=True)
    first.finish()
    second.finish()
    assert count(tmp_path / name) == 2
    assert [path.name for path in tmp_path.iterdir()] == [name.rstrip("/")]


def test_two_runs_into_one_empty_folder_keep_both_results(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    (tmp_path / "out").mkdir()
    first = begin(tmp_path / "out", make_film())
    second = begin(tmp_path / "out", make_film(pts=[0, 1]))
    first.finish()
    with pytest.raises(SinkError, match="the result is kept as"):
        second.finish()
    assert count(tmp_path / "out") == 10
    (kept,) = hidden(tmp_path / "out")
    assert count(kept) == 2


def test_a_folder_that_is_there_stays_the_same_folder(tmp_path: Path, make_film: MakeFilm) -> None:
    (tmp_path / "out").mkdir()
    before = (tmp_path / "out").stat().st_ino
    write(tmp_path / "out", make_film())
    assert (tmp_path / "out").stat().st_ino == before
    write(tmp_path / "out", make_film(pts=[0, 1]), overwrite=True)
    assert (tmp_path / "out").stat().st_ino == before
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["000000.png", "000001.png"]


def test_pictures_that_are_replaced_stay_until_the_end(tmp_path: Path, make_film: MakeFilm) -> None:
    write(f"{tmp_path}/out/", make_film())
    sink = begin(f"{tmp_path}/out/", make_film(pts=[0]), overwrite=True)
    assert count(tmp_path / "out") == 10
    sink.abandon()
    assert count(tmp_path / "out") == 10
    assert not hidden(tmp_path / "out")


def test_a_picture_of_the_new_film_is_in_place_of_the_old(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    old, new = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 9, np.uint8)
    write(f"{tmp_path}/out/", make_film(pixels=old))
    write(f"{tmp_path}/out/", make_film(pixels=new), overwrite=True)
    with Image.open(tmp_path / "out" / "000003.png") as image:
        assert np.array_equal(np.asarray(image), new)


@pytest.mark.parametrize("is_there", [False, True])
def test_pictures_that_cannot_appear_are_kept(
    tmp_path: Path, make_film: MakeFilm, is_there: bool
) -> None:
    if is_there:
        (tmp_path / "out").mkdir()
    sink = begin(f"{tmp_path}/out/", make_film(), overwrite=True)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "notes.txt").write_text("precious")
    with pytest.raises(SinkError, match=r"holds 'notes.txt'.*; the result is kept as '.*out"):
        sink.finish()
    sink.abandon()
    assert (tmp_path / "out" / "notes.txt").read_text() == "precious"
    (kept,) = hidden(tmp_path / "out" if is_there else tmp_path)
    assert count(kept) == 10


def test_pictures_are_kept_where_their_name_became_a_broken_link(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    sink = begin(f"{tmp_path}/out/", make_film())
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SinkError, match="cannot be written: .*; the result is kept as"):
        sink.finish()
    (kept,) = hidden(tmp_path)
    assert count(kept) == 10


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_film_that_cannot_appear_is_kept(
    tmp_path: Path, make_film: MakeFilm, overwrite: bool
) -> None:
    sink = begin(tmp_path / "out.mp4", make_film(), overwrite=overwrite)
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(SinkError, match="the result is kept as"):
        sink.finish()
    sink.abandon()
    (kept,) = hidden(tmp_path)
    assert count(kept) == 10


def test_a_broken_link_in_place_of_the_film_is_said_at_once(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    (tmp_path / "out.mp4").symlink_to(tmp_path / "nowhere.mp4")
    with pytest.raises(SinkError, match="exists; add --overwrite"):
        open_sink(tmp_path / "out.mp4", make_film().info)


def test_the_longest_name_that_is_possible_can_be_written(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    name = "ö" * 125 + ".mp4"
    write(tmp_path / name, make_film(pts=[0]))
    assert os.listdir(tmp_path) == [name]


def test_pictures_that_the_input_only_links_to_are_not_overwritten(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "links").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "pics" / "0.png")
    (tmp_path / "links" / "0.png").symlink_to("../pics/0.png")
    source = tmp_path / "links"
    with pytest.raises(SinkError, match="holds the input"):
        write(f"{tmp_path}/pics/", make_film(), source_path=source, overwrite=True)
    assert count(source) == 1
