from __future__ import annotations

import io
import shutil

import pytest
from rich.console import Console

from benchmarks.clips import as_json, find_clips, main, print_outcomes, tone_onset
from benchmarks.redraws import Outcome
from streamgen.errors import ConfigError


def outcome() -> Outcome:
    made = Outcome(clip="clip.mp4")
    made.numbers["watercolor"] = {
        "difference_to_input": 20.0,
        "edge_ssim_to_input": 0.5,
        "difference_to_cyberpunk": 12.0,
    }
    made.numbers["cyberpunk"] = {"difference_to_input": 30.0, "edge_ssim_to_input": 0.6}
    made.check("watercolor: edge-SSIM > 0.4", 0.5, True)
    made.check("watercolor: ffprobe", "no video", False)
    return made


def test_clips_are_the_video_files_of_a_folder_in_order(clip, tmp_path):
    shutil.copy(clip, tmp_path / "another.MOV")
    (tmp_path / "notes.txt").write_text("nothing")

    assert [path.name for path in find_clips(tmp_path)] == ["another.MOV", "clip.mp4"]


def test_a_folder_without_clips_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="holds no clips"):
        find_clips(tmp_path)


def test_numbers_and_what_does_not_hold_are_printed():
    text = io.StringIO()

    print_outcomes([outcome()], Console(file=text, width=120))

    assert "20.0" in text.getvalue() and text.getvalue().count("12.0") == 2
    assert "clip.mp4: watercolor: ffprobe: no video" in text.getvalue()
    assert "1 of 2 checks hold" in text.getvalue()


def test_the_json_says_what_was_found_and_whether_all_is_well():
    report = as_json([outcome()])

    assert report["is_ok"] is False
    [clip] = report["clips"]
    assert clip["checks"][1] == {
        "name": "watercolor: ffprobe",
        "found": "no video",
        "is_ok": False,
    }


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not here")
def test_the_tone_begins_after_a_third_of_what_is_redrawn(clip):
    assert tone_onset(clip, None) == pytest.approx(0.08)
    assert tone_onset(clip, 3) == pytest.approx(0.04)


def test_bad_input_is_one_sentence_and_code_2(tmp_path, clip, capsys):
    codes = [
        main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]),
        main([str(tmp_path), "--out", str(tmp_path / "out"), "--frames", "0"]),
        main([str(tmp_path), "--out", str(tmp_path / "out"), "--json", str(tmp_path / "no/x")]),
    ]

    said = capsys.readouterr().err.splitlines()
    assert codes == [2, 2, 2]
    assert len(said) == 3
    assert "there is no such folder" in said[0]
    assert "--frames 0: give a whole number from 1 on" in said[1]
    assert not (tmp_path / "out").exists()
