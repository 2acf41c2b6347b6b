from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streamgen.errors import SinkError
from streamgen.sinks import open_sink

MakeFilm = Callable[..., Any]


def write(location: str | Path, film: Any, **options: Any) -> list[str]:
    with open_sink(location, film.info, **options) as sink:
        for frame in film.frames:
            sink.write(frame)
    return sink.notes


def test_pictures_are_numbered_and_exact(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film()
    write(f"{tmp_path}/out/", film)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{index:06d}.png" for index in range(10)]
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "out" / "000003.png")), film.frames[3].pixels
    )


def test_an_empty_folder_is_filled(tmp_path: Path, make_film: MakeFilm) -> None:
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", make_film())
    assert len(list((tmp_path / "out").iterdir())) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_pictures_are_kept_unless_told(tmp_path: Path, make_film: MakeFilm) -> None:
    write(f"{tmp_path}/out/", make_film())
    with pytest.raises(SinkError, match="--overwrite"):
        write(f"{tmp_path}/out/", make_film())
    write(f"{tmp_path}/out/", make_film(pts=[0, 1]), overwrite=True)
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_other_files_are_never_removed(tmp_path: Path, make_film: MakeFilm) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(SinkError, match="holds 'notes.txt'"):
        open_sink(tmp_path, make_film().info, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "precious"


def test_an_error_leaves_nothing(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film()
    with pytest.raises(RuntimeError), open_sink(f"{tmp_path}/out/", film.info) as sink:
        sink.write(film.frames[0])
        assert not (tmp_path / "out").exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_no_frames_are_an_error(tmp_path: Path, make_film: MakeFilm) -> None:
    with pytest.raises(SinkError, match="no frame was written"):
        open_sink(f"{tmp_path}/out/", make_film().info).finish()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_the_input_is_never_written_to(tmp_path: Path, make_film: MakeFilm) -> None:
    with pytest.raises(SinkError, match="is the input"):
        open_sink(tmp_path, make_film().info, source_path=tmp_path)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, make_film: MakeFilm) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(SinkError, match="is a file"):
        open_sink(f"{tmp_path}/out/", make_film().info)


def test_a_missing_parent_is_named(tmp_path: Path, make_film: MakeFilm) -> None:
    with pytest.raises(SinkError, match="the folder '.*gone' does not exist"):
        open_sink(f"{tmp_path}/gone/out/", make_film().info)


def test_lost_sound_is_said(tmp_path: Path, make_film: MakeFilm) -> None:
    notes = write(f"{tmp_path}/out/", make_film(), audio=tmp_path / "clip.mp4")
    assert notes == ["the sound was left out: a folder of images holds none"]
