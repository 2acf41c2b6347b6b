from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from streamgen.evaluation.settings import SETTINGS
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.training.motion_layers import MotionLayers

SMALL = ("--size", "64", "--backend", "torch", "--frames", "4")
FIGURES = {"warp_error", "flicker", "sharpness", "edge_ssim", "lag", "colour_drift"}


def test_a_drawn_video_is_measured_against_its_input(streamgen, clip, tmp_path):
    drawn, report = tmp_path / "drawn.mp4", tmp_path / "figures.json"
    made = streamgen("run", clip, drawn, "--prompt", "comic", "--size", "64", "--backend", "torch")
    assert made.code == 0, made.err

    done = streamgen("eval", clip, drawn, "--prompt", "comic", "--json", report)

    assert done.code == 0, done.err
    found = json.loads(report.read_text())
    assert found.keys() >= FIGURES
    assert found["style_score"] is not None and found["frame_ms"] is None
    assert len(found["over_time"]["edge_ssim"]) == found["frames"] == 6
    assert f"{1000 * found['warp_error']:.3f}" in done.out


def test_a_video_measured_against_itself_is_as_its_input(streamgen, clip):
    done = streamgen("eval", clip, clip, "--json", "-")

    found = json.loads(done.out)
    assert found["warp_error"] == found["input_warp_error"]
    assert (found["flicker"], found["colour_drift"]) == (0, 0)
    assert found["edge_ssim"] == pytest.approx(1)


def test_without_a_drawn_video_it_is_drawn_with_the_controls(streamgen, clip, tmp_path):
    plot = tmp_path / "time.png"
    done = streamgen("eval", clip, *SMALL, "--prompt", "neon", "--json", "-", "--plot", plot)

    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["frames"], found["frame_ms"] > 0) == (4, True)
    assert "distance to the style" in done.err
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_settings_are_compared_on_clips_and_on_known_flow(streamgen, clip, tmp_path):
    sheet, report, videos = tmp_path / "sheet.png", tmp_path / "report.json", tmp_path / "videos"
    asked = ("--settings", "fresh,fixed,default", "--json", report)

    done = streamgen(
        *("eval", "--ablate", clip.parent, "--known-flow", *SMALL, *asked),
        *("--sheet", sheet, "--videos", videos, "--prompt", "comic"),
    )

    assert done.code == 0, done.err
    found = json.loads(report.read_text())
    assert list(found["settings"]) == ["fresh", "fixed", "default"]
    assert found["input"]["warp_error"] > 0
    assert [name.split()[0] for name in found["clips"]] == [clip.stem, *["photo"] * 4]
    assert found["config"]["size"] == "64x64"
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert len(list(videos.glob("*.mp4"))) == 5
    assert "the input's own warp error" in done.out


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a motion adapter for tiny, of random weights, that is not silent."""
    folder = tmp_path_factory.mktemp("adapter")
    layers = MotionLayers(load_model(find_model("tiny")).unet, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weights in layers.stack.named_parameters():
            if name.endswith("proj_out.weight"):
                weights.normal_(std=0.05, generator=generator)
    layers.save(folder)
    return folder


def test_all_settings_are_compared_with_those_of_motion_where_there_is_an_adapter(
    streamgen, clip, adapter, tmp_path
):
    report = tmp_path / "report.json"

    done = streamgen(
        *("eval", "--ablate", clip, *SMALL, "--prompt", "comic", "--motion", adapter),
        *("--json", report),
    )

    assert done.code == 0, done.err
    settings = json.loads(report.read_text())["settings"]
    assert settings.keys() == SETTINGS.keys()
    assert all(row["cost"] > 0 for row in settings.values())
    drawn = {name: settings[name]["warp_error"] for name in ("fixed", "latent", "motion")}
    assert len({*drawn.values(), settings["latent+motion"]["warp_error"]}) == 4
    assert settings["default"]["warp_error"] == settings["latent+motion"]["warp_error"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "name a video, or --ablate FOLDER, or --known-flow"),
        (("none.mp4",), "no such file"),
        (("IN", "IN", "--steps", "2"), "--steps has no effect: "),
        (("IN", "--settings", "fixed"), "--settings means nothing without --ablate"),
        (("IN", "--known-flow", "--frames", "4"), "name no other video"),
        (("--known-flow", "--settings", "latnt"), "setting 'latnt': choose from fresh, fixed"),
        (("--known-flow", "--settings", "motion"), "there is no motion adapter: add --motion NAME"),
        (("--known-flow", "--size", "64x128"), "draws squares: --size 64x128"),
        (("--known-flow", "--plot", "a.png"), "--plot means nothing to --ablate"),
        (("--known-flow", "--sheet", "a.txt"), "name a file that ends in .png"),
        (("--ablate", "none"), "name a file or a folder with .mp4"),
        (("IN", "--frames", "2"), "give a whole number from 3 to"),
        (("IN", "--json", "figures"), "give a path that ends in .json"),
    ],
)
def test_what_cannot_be_measured_is_told_first(streamgen, clip, arguments, sentence):
    done = streamgen("eval", *(str(clip) if word == "IN" else word for word in arguments))

    assert done.code == 2
    assert sentence in done.err
