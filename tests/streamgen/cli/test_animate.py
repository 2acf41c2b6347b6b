from __future__ import annotations

import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from diffusers import MotionAdapter
from PIL import Image

from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.training.motion_layers import MotionLayers

ROOT = Path(__file__).parents[3]
QUICK = ("--size", "64", "--frames", "6", "--device", "cpu")


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).resize((160, 120), Image.Resampling.BICUBIC).save(tmp_path / "in.png")
    return tmp_path / "in.png"


@pytest.fixture(scope="session")
def small_adapter(tmp_path_factory):
    """For the small model."""
    torch.manual_seed(1)
    made = tmp_path_factory.mktemp("adapters") / "moving"
    MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
    ).save_pretrained(made)
    return made


@pytest.fixture(scope="session")
def silent_adapter(tmp_path_factory):
    """For tiny; a new one, which changes nothing yet."""
    made = tmp_path_factory.mktemp("adapters") / "silent"
    MotionLayers(load_model(find_model("tiny")).unet, seed=0).save(made)
    return made


def frames_of(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]


def test_a_clip_is_drawn_from_words(streamgen, small_folder, small_adapter, tmp_path):
    motion = ("--motion", small_adapter, "--window", "4", "--overlap", "2")

    done = streamgen(
        "animate",
        "oil",
        tmp_path / "out.mp4",
        *("--model", small_folder, *motion, *QUICK, "--steps", "2", "--seed", "7"),
    )

    assert done.code == 0, done.err
    assert done.err == ""
    with av.open(str(tmp_path / "out.mp4")) as container:
        video = container.streams.video[0]
        assert (video.frames, video.average_rate) == (6, Fraction(12))
        assert (video.codec_context.name, video.codec_context.width) == ("h264", 64)
    place, length, made_by = done.out.splitlines()
    assert place == str(tmp_path / "out.mp4")
    assert length.startswith("6 frames in ") and length.endswith(" s, 0.5 s long")
    assert made_by.endswith("lcm, 2 steps · motion moving over 4 frames · seed 7")


def test_tiny_moves_before_a_photo(streamgen, photo, silent_adapter, tmp_path):
    asked = ("animate", "ink", tmp_path / "moved/", "--image", photo, *QUICK, "--steps", "1")
    (tmp_path / "moved").mkdir()

    done = streamgen(*asked, "--motion", silent_adapter, "--camera", "pan-right")

    assert done.code == 0, done.err
    frames = frames_of(tmp_path / "moved")
    assert len(frames) == 6 and frames[0].shape == (64, 64, 3)
    assert all(not np.array_equal(a, b) for a, b in zip(frames, frames[1:], strict=False))


def test_a_silent_adapter_changes_nothing(streamgen, photo, silent_adapter, tmp_path):
    drawn = {}
    windows = ("--window", "4", "--overlap", "2")
    for name, motion in {"with": (silent_adapter, *windows), "without": ("none",)}.items():
        (tmp_path / name).mkdir()
        done = streamgen(
            *("animate", "ink", tmp_path / name, "--image", photo, *QUICK, "--steps", "2"),
            *("--motion", *motion),
        )
        assert done.code == 0, done.err
        drawn[name] = np.stack(frames_of(tmp_path / name))

    assert np.abs(drawn["with"].astype(int) - drawn["without"]).max() <= 1


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ((), "model 'tiny' redraws a picture, it makes none from words: give it one with --image"),
        (("--camera", "roll"), "--camera roll has no effect without a picture to move before"),
        (("--image", "."), "image '.' is a folder: give a file"),
        (("--device", "moon"), "backend 'torch' on moon: "),
        (("--image", "no.jpg"), "image 'no.jpg': there is no such file"),
        (("--frames", "0"), "--frames: '0': give a whole number from 1"),
        (("--fps", "0"), "--fps: '0': give frames per second from 0.01 to 240"),
        (("--fps", "x"), "--fps: 'x': give frames per second"),
        (("--strength", "0"), "--strength: '0': give a number above 0 to 1"),
        (("--guidance-scale", "nan"), "--guidance-scale: 'nan': give a number from 0 to 20"),
        (("--motion", "../no"), "motion adapter '../no': choose"),
        (("--size", "60"), "size 60x60: tiny takes a width from 64"),
        (("--lora", "no"), "LoRA 'no': there are none to choose from"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(streamgen, tmp_path, asked, reason):
    done = streamgen("animate", "ink", tmp_path / "out.mp4", *asked)

    assert (done.code, done.out) == (2, "")
    assert reason in done.err
    assert len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_overlap_as_long_as_a_window_is_refused(streamgen, photo, silent_adapter, tmp_path):
    done = streamgen(
        *("animate", "ink", tmp_path / "out.mp4", "--image", photo, *QUICK),
        *("--motion", silent_adapter, "--window", "4", "--overlap", "4"),
    )

    assert done.code == 2
    assert "overlap 4: with windows of 4 frames give 0 to 3" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_an_adapter_of_another_model_is_named_as_it_was_asked_for(
    streamgen, small_folder, tmp_path
):
    done = streamgen(
        *("animate", "ink", tmp_path / "out.mp4", *QUICK),
        *("--model", small_folder, "--motion", "tiny"),
    )

    assert done.code == 2
    assert "motion adapter 'tiny' is for another UNet: it has widths" in done.err
    assert list(tmp_path.glob("*.mp4*")) == []


def test_a_clip_that_is_there_is_not_written_over(streamgen, photo, tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"mine")

    done = streamgen("animate", "ink", tmp_path / "out.mp4", "--image", photo, *QUICK)

    assert done.code == 2
    assert (tmp_path / "out.mp4").read_bytes() == b"mine"


def test_ctrl_c_leaves_nothing_behind(photo, tmp_path, request):
    command = [sys.executable, "-m", "streamgen", "animate", "ink", str(tmp_path / "out.mp4")]
    asked = ["--image", str(photo), "--size", "64", "--frames", "5000", "--motion", "none", "-v"]
    process = subprocess.Popen(
        [*command, *asked], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    request.addfinalizer(process.kill)
    while not (line := process.stderr.readline()).startswith("INFO streamgen.cli.animate: drawing"):
        assert line

    process.send_signal(signal.SIGINT)
    process.communicate()

    assert process.returncode == 130
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]
