from __future__ import annotations

import json

import pytest
import torch

ON_CPU = ("bench", "--suite", "gpu", "--device", "cpu", "--scale", "tiny")
ONE = "sd-turbo-64-1step-1stream-eager"


def test_the_suite_is_measured_on_a_cpu_at_the_tiny_scale(streamgen, tmp_path):
    path, plot = tmp_path / "gpu.json", tmp_path / "gpu.png"

    done = streamgen(*ON_CPU, "--only", ONE, "--json", path, "--plot", plot)

    assert done.code == 0, done.err
    report = json.loads(path.read_text())
    assert [each["name"] for each in report["results"]] == [ONE]
    assert f"{report['results'][0]['fps']:.1f}" in done.out
    assert ONE in done.err and plot.stat().st_size > 0

    again = streamgen(*ON_CPU, "--only", ONE, "--json", path, "--resume")

    assert again.code == 0, again.err
    assert f"{ONE}: there already" in again.err
    assert json.loads(path.read_text())["results"] == report["results"]


def test_a_budget_too_small_for_anything_leaves_all_out(streamgen, tmp_path):
    done = streamgen(*ON_CPU, "--budget", 1, "--json", tmp_path / "gpu.json")

    assert done.code == 0, done.err
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["results"] == [] and len(report["left_out"]) > 10
    assert "left out" in done.out


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells of a machine without an NVIDIA GPU")
def test_without_an_nvidia_gpu_it_says_so_and_what_to_do(streamgen):
    for device in ((), ("--device", "cuda")):
        done = streamgen("bench", "--suite", "gpu", *device)

        assert (done.code, done.out) == (2, "")
        assert "--suite gpu needs an NVIDIA GPU" in done.err
        assert "--device cpu --scale tiny" in done.err and len(done.err.splitlines()) == 1


def test_bad_input_is_one_sentence_that_names_it(streamgen, tmp_path):
    other = tmp_path / "other.json"
    other.write_text("{}")
    for asked, sentence in {
        (*ON_CPU, "--only", "sd-3"): "--only 'sd-3': choose among sd-turbo-64",
        (*ON_CPU, "--resume"): "--resume needs the file to go on with: add --json PATH",
        (*ON_CPU, "--resume", "--json", other): "holds no results of --suite gpu",
        (*ON_CPU, "--budget", "0"): "'0': give a whole number from 1",
        (*ON_CPU, "--precision", "int4"): "precision 'int4': choose auto",
        (*ON_CPU, "--model", "tiny2"): "--model means nothing to --suite gpu",
        (*ON_CPU[:-1], "full"): "--scale full takes hours on a cpu",
        ("bench", "--budget", "5"): "--budget means nothing to --suite frame-path",
        ("bench", "--suite", "webrtc", "--resume"): "--resume means nothing to --suite webrtc",
    }.items():
        done = streamgen(*asked)

        assert (done.code, done.out) == (2, ""), asked
        assert sentence in done.err and len(done.err.splitlines()) == 1, done.err
