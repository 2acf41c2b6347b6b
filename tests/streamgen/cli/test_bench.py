from __future__ import annotations

import json

SHORT = ("--size", "64", "--backend", "torch", "--frames", "4", "--runs", "2", "--warmup", "1")
KEYS = {
    "fps",
    "denoised",
    "frames",
    "frame_ms",
    "stages",
    "machine",
    "versions",
    "config",
    "runs",
    "denoising",
}


def test_bench_prints_a_table_and_writes_the_same_as_json(streamgen, clip, tmp_path):
    done = streamgen("bench", *SHORT, "--clip", clip, "--json", tmp_path / "result.json")

    assert done.code == 0, done.err
    report = json.loads((tmp_path / "result.json").read_text())
    assert set(report) == KEYS
    assert (report["frames"], report["denoised"], len(report["runs"])) == (4, 4, 2)
    assert list(report["stages"]) == ["convert", "encode", "denoise", "decode", "frame"]
    assert f"{report['fps']:.1f} fps" in done.out


def test_more_steps_are_measured_both_ways(streamgen, clip, tmp_path):
    path = tmp_path / "result.json"
    done = streamgen("bench", *SHORT, "--steps", "3", "--clip", clip, "--json", path)

    ways = json.loads(path.read_text())["denoising"]
    assert {name: way["delay_frames"] for name, way in ways.items()} == {
        "stream": 2,
        "sequential": 0,
    }
    assert all(way["fps"] > 0 for way in ways.values())
    assert "2 frames late" in done.out and "no delay" in done.out


def test_the_result_says_what_was_measured(streamgen, tmp_path):
    asked = ("--steps", "2", "--guidance-scale", "1.5", "--json", tmp_path / "result.json")

    done = streamgen("bench", *SHORT, *asked)

    assert done.code == 0, done.err
    config = json.loads((tmp_path / "result.json").read_text())["config"]
    assert config == {
        "model": "tiny",
        "size": "64x64",
        "steps": 2,
        "backend": "torch",
        "precision": "fp32",
        "precisions": {"vae_encoder": "fp32", "unet": "fp32", "vae_decoder": "fp32"},
        "int8_gate": None,
        "device": "cpu",
        "rejected": {},
        "guidance": "full",
        "guidance_scale": 1.5,
        "threads": None,
        "clip": "webcam.mp4",
    }


def test_a_missing_folder_for_the_json_is_told_before_anything_is_measured(streamgen, tmp_path):
    done = streamgen("bench", *SHORT, "--json", tmp_path / "missing" / "result.json")

    assert done.code == 2
    assert done.out == ""
    assert "there is no folder" in done.err


def test_bad_input_is_one_sentence_that_names_it(streamgen, tmp_path):
    for asked, sentence in {
        ("--size", "250"): "size 250x250: tiny takes",
        ("--frames", "0"): "'0': give a whole number from 1",
        ("--guidance-scale", "nan"): "guidance_scale nan: give a number",
        ("--clip", "nowhere.mp4"): "'nowhere.mp4': there is no such file",
        ("--model", "nothing"): "model 'nothing': choose tiny",
        ("--backend", "nothing"): "backend 'nothing': choose auto",
        ("--streams", "2"): "unknown option '--streams'",
    }.items():
        done = streamgen("bench", "--size", "64", *asked)

        assert (done.code, done.out) == (2, ""), asked
        assert sentence in done.err and len(done.err.splitlines()) == 1
