from __future__ import annotations

import json

import pytest

SHORT = ("--size", "64", "--frames", "4", "--runs", "2", "--warmup", "1")


def test_backends_are_compared_on_one_clip_in_one_run(streamgen, clip, tmp_path):
    path = tmp_path / "result.json"
    asked = ("--compare-backends", "--backends", "torch", "--clip", clip, "--json", path)

    done = streamgen("bench", *SHORT, *asked)

    assert done.code == 0, done.err
    report = json.loads(path.read_text())
    backends = report["backends"]
    assert list(backends) == ["torch-fp32", "torch-bf16", "torch"]
    assert all(found["fps"] > 0 and len(found["runs"]) == 2 for found in backends.values())
    assert 25 < backends["torch-bf16"]["psnr_db"] < 99
    assert backends["torch-bf16"]["precisions"]["unet"] == "bf16"
    # Which of the two it is depends on what else this machine does now.
    assert (backends["torch"]["ratio"] is None) is bool(report["machine"]["busy"])
    assert report["config"]["clip"] == "clip.mp4"
    assert "torch-bf16" in done.out and "dB" in done.out


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("--backends", "torch"), "--backends means nothing without --compare-backends"),
        (("--compare-backends", "--backends", "tensor"), "--backends 'tensor': choose "),
        (("--compare-backends", "--backend", "torch"), "--backend means nothing to --compare-back"),
        (("--compare-backends", "--streams", "2"), "--streams means nothing to --compare-backends"),
        (("--compare-backends", "--steps", "1,2"), "--steps: --compare-backends takes one of them"),
        (("--compare-backends", "--suite", "webrtc"), "means nothing to --suite webrtc"),
    ],
)
def test_what_does_not_go_with_it_is_named(streamgen, asked, sentence):
    done = streamgen("bench", *asked)

    assert (done.code, done.out) == (2, "")
    assert sentence in done.err and len(done.err.splitlines()) == 1
