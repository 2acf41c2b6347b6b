from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.redraws import judge, judge_sound, run_streamgen
from streamgen.errors import StreamgenError
from streamgen.sinks import open_sink
from streamgen.sources import open_source

needs_ffprobe = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not here")
pytestmark = needs_ffprobe
SHIFTS = {"brighter": 30, "darker": -30}


def shift(clip: Path, target: Path, prompt: str) -> str:
    """Redraw by adding levels; the prompt says how many. A real file comes out."""
    try:
        with (
            open_source(clip) as source,
            open_sink(target, source.info, audio=source.audio, overwrite=True) as sink,
        ):
            for frame in source.frames():
                levels = frame.pixels.astype(int) + SHIFTS.get(prompt, 0)
                sink.write(frame.redrawn(levels.clip(0, 255).astype(np.uint8), revision=0))
            sink.finish()
    except StreamgenError as error:
        return str(error)
    return ""


def verdicts(outcome) -> dict[str, bool]:
    return {check.name: check.is_ok for check in outcome.checks}


def test_redrawings_that_keep_shapes_and_change_levels_pass(clip, tmp_path):
    outcome = judge(clip, tmp_path, prompts=list(SHIFTS), frames=None, redraw=shift)

    assert outcome.is_ok, verdicts(outcome)
    assert outcome.numbers["brighter"]["difference_to_input"] == pytest.approx(30, abs=3)
    assert outcome.numbers["brighter"]["difference_to_darker"] == pytest.approx(60, abs=6)
    assert outcome.numbers["darker"]["edge_ssim_to_input"] > 0.9


def test_the_contact_sheet_has_a_column_for_the_input_and_each_prompt(clip, tmp_path):
    outcome = judge(clip, tmp_path, prompts=list(SHIFTS), frames=None, redraw=shift)

    with Image.open(tmp_path / str(outcome.sheet)) as sheet:
        assert sheet.width == pytest.approx(3 * 96, abs=10)
        assert sheet.height == pytest.approx(3 * 64, abs=30)


def test_an_untouched_copy_fails_by_its_difference_only(clip, tmp_path):
    outcome = judge(clip, tmp_path, prompts=["same"], frames=None, redraw=shift)

    failed = [name for name, is_ok in verdicts(outcome).items() if not is_ok]
    assert failed == ["same: levels from input > 8"]


def test_a_missing_frame_is_seen(clip, tmp_path):
    outcome = judge(clip, tmp_path, prompts=["brighter"], frames=4, redraw=shift)

    assert verdicts(outcome)["brighter: frames 4"] is False


def test_what_the_redrawing_complains_of_is_in_the_outcome(clip, tmp_path):
    outcome = judge(
        clip, tmp_path, prompts=["any"], frames=None, redraw=lambda *paths: "the disk is full"
    )

    assert [(check.name, check.found) for check in outcome.checks] == [
        ("any: run", "the disk is full")
    ]
    assert not outcome.is_ok


def test_a_clip_that_is_none_fails(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"nothing")

    outcome = judge(tmp_path / "clip.mp4", tmp_path, prompts=["any"], frames=None, redraw=shift)

    assert not outcome.is_ok


def test_sound_that_stays_in_time_passes(clip, tmp_path):
    outcome = judge_sound(clip, tmp_path, onset_s=0.1, prompt="brighter", redraw=shift)

    assert list(verdicts(outcome).values()) == [True, True]


def test_sound_that_is_lost_fails(clip, tmp_path):
    def mute(source: Path, target: Path, prompt: str) -> str:
        return shift(clip, target, prompt)

    outcome = judge_sound(clip, tmp_path, onset_s=0.1, prompt="brighter", redraw=mute)

    assert list(verdicts(outcome).values()) == [False, False]


def test_the_command_line_redraws_the_frames_asked_for(clip, tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMGEN_CACHE", str(tmp_path / "cache"))
    redraw = run_streamgen(2, ["--size", "64", "--backend", "torch"])

    complaint = redraw(clip, tmp_path / "out.mp4", "watercolor")

    assert complaint == ""
    with open_source(tmp_path / "out.mp4") as source:
        assert [frame.pixels.shape for frame in source.frames()] == [(64, 64, 3)] * 2
