from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamgen.errors import ConfigError
from streamgen.evaluation.clips import Clip, find_files, read_clips, read_frames
from streamgen.evaluation.measure import correspondences, measure
from streamgen.evaluation.pictures import sheet_rows, unsteadiness, write_video
from streamgen.evaluation.plot import draw_figures
from streamgen.frame import Pixels
from streamgen.sources import Size


@pytest.fixture
def clip(photo: Pixels) -> Clip:
    frames = [np.ascontiguousarray(photo[:96, k : k + 96]) for k in range(4)]
    return Clip(name="slide", frames=frames, known=correspondences(frames))


def test_a_sheet_shows_a_frame_and_how_unsteady_it_is(clip: Clip) -> None:
    grey = [np.full((96, 96, 3), 100 + 20 * (k % 2), np.uint8) for k in range(4)]

    rows = sheet_rows(clip, {"fixed": grey})

    assert list(rows) == ["input", "fixed"]
    assert np.array_equal(rows["input"][0], clip.frames[2])
    # 20 levels, six times as bright, where the flow is known.
    assert np.median(rows["fixed"][1]) == 120


def test_what_nobody_knows_is_black(clip: Clip) -> None:
    known = clip.known[0]
    seen = unsteadiness(clip.frames[0], 255 - clip.frames[1], known)

    assert not known.is_known.all()
    assert seen[~known.is_known].max() == 0


def test_a_video_has_the_input_and_every_drawing_in_rows(clip: Clip, tmp_path: Path) -> None:
    drawings = dict.fromkeys(("fresh", "fixed"), clip.frames)

    names = write_video(tmp_path / "all.mp4", clip, drawings)

    [first, *others] = read_frames(tmp_path / "all.mp4", size=None, count=None)
    assert names == ["input", "fresh", "fixed"]
    assert (first.shape, len(others)) == ((192, 192, 3), 3)
    assert np.abs(first[:96, :96].astype(int) - clip.frames[0]).mean() < 8
    assert first[96:, 96:].mean() < 8


def test_clips_are_files_or_all_files_of_a_folder(clip: Clip, tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4"):
        write_video(tmp_path / name, clip, {})

    files = find_files([tmp_path, tmp_path / "b.mp4"])
    [first, *_] = read_clips(files, size=Size(64, 64), count=3)

    assert [path.name for path in files] == ["a.mp4", "b.mp4", "b.mp4"]
    assert (first.name, len(first.frames), len(first.known)) == ("a", 3, 2)
    assert first.frames[0].shape == (64, 64, 3)
    with pytest.raises(ConfigError, match=r"none.*: name a file or a folder"):
        find_files([tmp_path / "none"])


def test_figures_over_time_are_drawn(clip: Clip, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figures = measure(clip.frames, clip.frames, known=clip.known)

    draw_figures(figures, tmp_path / "time.png", title="slide")

    assert (tmp_path / "time.png").stat().st_size > 10_000
    with pytest.raises(ConfigError, match="cannot be written"):
        draw_figures(figures, tmp_path / "no" / "time.png", title="slide")
