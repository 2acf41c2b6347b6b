from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamgen.models.registry import find_model
from streamgen.sources import open_source

ROOT = Path(__file__).parents[3]
QUICK = ("--backend", "torch", "--size", "64")


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with open_source(path) as source:
        return [frame.pixels for frame in source.frames()]


def test_a_clip_is_redrawn_frame_by_frame(streamgen, clip, tmp_path):
    done = streamgen("run", clip, tmp_path / "out.mp4", *QUICK, "--seed", "7")

    assert done.code == 0, done.err
    assert done.err == ""
    with av.open(str(tmp_path / "out.mp4")) as container:
        video = container.streams.video[0]
        assert (video.frames, video.average_rate) == (6, Fraction(25))
        assert (video.codec_context.width, video.codec_context.height) == (64, 64)
    place, speed, made_by = done.out.splitlines()
    assert place == str(tmp_path / "out.mp4")
    assert speed.startswith("6 frames in ") and speed.endswith(" fps")
    assert made_by == "tiny · 64x64 · torch fp32 on cpu · seed 7"


def test_openvino_redraws_as_well(streamgen, clip, tmp_path):
    asked = ("--backend", "openvino", "--precision", "fp32", "--size", "64")
    done = streamgen("run", clip, tmp_path / "out.mp4", *asked, "--limit", "2")

    assert done.code == 0, done.err
    assert "tiny · 64x64 · openvino fp32 on cpu" in done.out


def test_without_a_size_the_model_draws_its_best_in_the_aspect_of_the_source(
    streamgen, make_clip, tmp_path
):
    wide = make_clip(size=(192, 108), frames=1)

    done = streamgen("run", wide, tmp_path / "out.mp4", "--backend", "torch")

    assert done.code == 0, done.err
    height, width = pictures(tmp_path / "out.mp4")[0].shape[:2]
    assert (width % 8, height % 8) == (0, 0)
    assert abs(width / height - 16 / 9) < 0.1
    assert 0.8 < width * height / find_model("tiny").area_px < 1.25


@pytest.mark.parametrize("size", [(16, 16), (7680, 4320), (1000, 16)])
def test_sources_of_any_size_are_redrawn(streamgen, make_clip, tmp_path, size):
    source = make_clip(size=size, frames=1)

    done = streamgen("run", source, tmp_path / "out.mp4", "--backend", "torch")

    assert done.code == 0, done.err
    height, width = pictures(tmp_path / "out.mp4")[0].shape[:2]
    find_model("tiny").check_size(width, height)


def test_compare_puts_the_input_on_the_left(streamgen, clip, tmp_path):
    done = streamgen("run", clip, f"{tmp_path}/pictures/", *QUICK, "--compare")

    assert done.code == 0, done.err
    drawn = pictures(tmp_path / "pictures")
    with open_source(clip, size=lambda size: type(size)(64, 64)) as source:
        given = [frame.pixels for frame in source.frames()]
    assert [each.shape for each in drawn] == [(64, 128, 3)] * 6
    assert all(np.array_equal(both[:, :64], left) for both, left in zip(drawn, given, strict=True))


def test_letterbox_leaves_the_bars_black(streamgen, clip, tmp_path):
    done = streamgen("run", clip, f"{tmp_path}/pictures/", *QUICK, "--fit", "letterbox")

    assert done.code == 0, done.err
    for drawn in pictures(tmp_path / "pictures"):
        assert drawn[:8].max() == drawn[-8:].max() == 0


def test_a_limit_ends_the_work_early(streamgen, tmp_path):
    done = streamgen("run", "test:pattern", tmp_path / "out.mp4", *QUICK, "--limit", "3")

    assert done.code == 0, done.err
    assert len(pictures(tmp_path / "out.mp4")) == 3


def test_an_existing_output_gives_way_when_asked(streamgen, clip, tmp_path):
    (tmp_path / "out.mp4").write_text("old")

    done = streamgen("run", clip, tmp_path / "out.mp4", *QUICK, "--limit", "2", "--overwrite")

    assert done.code == 0, done.err
    assert len(pictures(tmp_path / "out.mp4")) == 2


def test_what_the_sink_could_not_keep_is_said(streamgen, make_clip, tmp_path):
    source = make_clip(sound=True)

    done = streamgen("run", source, f"{tmp_path}/pictures/", *QUICK, "--limit", "1")

    assert done.code == 0, done.err
    assert "the sound was left out" in done.out


def test_strength_zero_is_said_to_redraw_nothing(streamgen, clip):
    done = streamgen("run", clip, "null:", *QUICK, "--strength", "0", "--limit", "1")

    assert done.code == 0
    assert "the picture is not redrawn" in done.err


def test_several_prompts_and_guidance_go_through_the_pipeline(streamgen, clip):
    prompts = ("--prompt", "watercolor", "--prompt", "pencil sketch::0.5")
    guidance = ("--guidance-scale", "1.5", "--negative-prompt", "blurry", "--steps", "2")

    done = streamgen("run", clip, "null:", *QUICK, *prompts, *guidance, "--limit", "2")

    assert done.code == 0, done.err


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., subprocess.Popen[str]]:
    """Start an endless run and return it once it draws."""

    def begin(arguments: Sequence[str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "streamgen", "run", *arguments, *QUICK, "-v"]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        request.addfinalizer(process.kill)
        assert process.stderr is not None
        said = []
        while not (line := process.stderr.readline()).startswith("INFO streamgen.cli.run: drawing"):
            assert line, said
            said.append(line)
        return process

    return begin


def test_a_run_stopped_by_ctrl_c_finishes_its_file(start, tmp_path):
    process = start(["test:pattern", str(tmp_path / "out.mp4")])

    process.send_signal(signal.SIGINT)
    out, err = process.communicate()

    assert process.returncode == 130, err
    with av.open(str(tmp_path / "out.mp4")) as container:
        count = container.streams.video[0].frames
    assert f"stopped before the end: {count} frames" in out
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_killed_run_leaves_no_file_that_looks_complete(start, tmp_path):
    process = start(["test:pattern", str(tmp_path / "out.mp4")])

    process.kill()
    process.communicate()

    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.partial-")
