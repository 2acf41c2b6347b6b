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
    "streams",
    "compare",
    "energy",
    "energy_j_per_frame",
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
        "motion": None,
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
        ("--streams", "0"): "'0': give a whole number from 1 to 64",
        ("--guidance", "full"): "--guidance has no effect",
        ("--guidance", "ful", "--guidance-scale", "2"): "guidance 'ful': choose",
        ("--compare", "diffusers", "--guidance-scale", "2"): "--compare is made with guidance off",
        ("--compare", "streamdiffusion"): "the package cannot be imported",
        ("--plot", "plot.svg"): "name a file that ends in .png",
    }.items():
        done = streamgen("bench", "--size", "64", *asked)

        assert (done.code, done.out) == (2, ""), asked
        assert sentence in done.err and len(done.err.splitlines()) == 1


def test_a_list_measures_every_combination_and_streams_share_a_batch(streamgen, clip, tmp_path):
    path = tmp_path / "result.json"
    lists = ("--size", "64,96x64", "--steps", "1,2", "--streams", "1,2", "--runs", "1")

    done = streamgen("bench", *SHORT, *lists, "--clip", clip, "--json", path)

    assert done.code == 0, done.err
    report = json.loads(path.read_text())
    measured = [(each["config"]["size"], each["config"]["steps"]) for each in report["results"]]
    assert measured == [("64x64", 1), ("64x64", 2), ("96x64", 1), ("96x64", 2)]
    assert report["fps"] == report["results"][0]["fps"]
    for result in report["results"]:
        assert set(result) == KEYS
        assert [group["count"] for group in result["streams"]] == [1, 2]
        assert result["streams"][1]["shares"] == [0.5, 0.5]
    assert "96x64" in done.out and "2 streams" in done.out


def test_ours_is_compared_with_diffusers_where_the_machine_is_idle(streamgen, clip, tmp_path):
    path = tmp_path / "result.json"
    options = ("--compare", "diffusers", "--plot", tmp_path / "plot.png", "--json", path)

    done = streamgen("bench", *SHORT, *options, "--clip", clip)

    assert done.code == 0, done.err
    assert "Loading" not in done.err
    report = json.loads(path.read_text())
    rival = report["compare"]["diffusers"]
    assert (rival["turns"], rival["frames_per_turn"], rival["warmup"]) == (2, 4, 1)
    assert rival["fps"] > 0 and rival["best_fps"] > 0
    # Which of the two it is depends on what else this machine does now.
    is_told = rival["reason"] is None
    assert is_told is not bool(report["machine"]["busy"])
    assert (rival["ratio"] is not None) is is_told
    assert (rival["best_ratio"] is not None) is is_told
    assert ("no ratio to diffusers" in done.out) is not is_told
    assert (tmp_path / "plot.png").stat().st_size > 0


def test_quality_is_told_beside_the_speed(streamgen, clip, tmp_path):
    path = tmp_path / "result.json"

    done = streamgen("bench", *SHORT, "--quality", "--clip", clip, "--json", path)

    assert done.code == 0, done.err
    report = json.loads(path.read_text())
    assert set(report) == KEYS | {"quality"}
    assert report["quality"].keys() == {
        *("frames", "warp_error", "input_warp_error"),
        *("flicker", "sharpness", "edge_ssim", "lag"),
    }
    assert f"{1000 * report['quality']['warp_error']:.3f}" in done.out
