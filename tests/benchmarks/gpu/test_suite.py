"""Order, budget, resume and what is on disk; what measures is a small function written here."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from benchmarks.gpu.cases import all_cases
from benchmarks.gpu.suite import Order, check_device, read_results, run_suite, write_atomically
from engines.errors import BuildError
from streamgen.errors import ConfigError

CASES = all_cases("tiny")[:4]
NAMES = [case.name for case in CASES]


class Measurer:
    """Notes what it was asked for; the clock moves on by as much as it was told."""

    def __init__(self, *, seconds=1.0, failing=(), path=None):
        self.seconds, self.failing, self.path = seconds, failing, path
        self.now = 0.0
        self.asked = []
        self.seen = []

    def measure(self, case, bench, peak):
        if self.path is not None and self.path.exists():
            self.seen.append([each["name"] for each in read_results(self.path)])
        self.asked.append(case.name)
        self.now += self.seconds
        if case.name in self.failing:
            raise BuildError("no compiler:\nmany lines")
        return {"fps": 10.0}

    def run(self, **asked):
        order = Order(cases=CASES, scale="tiny", device="cpu", **asked)
        return run_suite(order, measure=self.measure, now_s=lambda: self.now)


@pytest.fixture(scope="module")
def complete():
    """The report of a suite that was measured to its end."""
    return Measurer().run()


@pytest.fixture
def before(complete, tmp_path):
    """A file of that report, to be spoilt."""
    path = tmp_path / "gpu.json"
    path.write_text(json.dumps(complete))
    return path


def spoil(path, change):
    report = json.loads(path.read_text())
    change(report["results"])
    path.write_text(json.dumps(report))


def test_every_result_is_on_disk_before_the_next_is_measured(tmp_path):
    path = tmp_path / "gpu.json"
    measurer = Measurer(path=path)

    report = measurer.run(json=path)

    assert measurer.asked == NAMES
    assert measurer.seen == [NAMES[:1], NAMES[:2], NAMES[:3]]
    assert json.loads(path.read_text()) == report
    assert [path] == list(tmp_path.iterdir())


def test_a_report_says_what_it_was_measured_with(complete):
    assert (complete["suite"], complete["scale"], complete["weights"]) == ("gpu", "tiny", "random")
    assert complete["config"]["precision"] == "fp32"
    assert complete["peak"]["source"] == "measured"
    assert {"torch", "triton", "cuda"} <= set(complete["versions"])
    first = complete["results"][0]
    assert first["config"]["backend"] == "torch" and first["config"]["graph"] is False
    assert first["config"]["size"] == "64x64"
    assert first["error"] is None and first["took_s"] == 1.0


def test_resume_measures_only_what_is_missing_failed_or_was_another_measurement(before):
    def change(results):
        results[0]["error"] = "out of memory"
        results[1]["hash"] = "of another device"
        del results[2]

    spoil(before, change)
    measurer = Measurer()

    report = measurer.run(json=before, resume=True)

    assert measurer.asked == NAMES[:3]
    assert [each["name"] for each in report["results"]] == NAMES
    assert [each["error"] for each in report["results"]] == [None] * 4


def test_resume_keeps_results_of_cases_that_are_not_asked_for_now(before):
    spoil(before, lambda results: results.pop(0))
    order = Order(cases=CASES[:1], scale="tiny", device="cpu", json=before, resume=True)

    report = run_suite(order, measure=Measurer().measure)

    assert [each["name"] for each in report["results"]] == NAMES


def test_without_resume_the_file_is_begun_anew(before):
    measurer = Measurer()

    measurer.run(json=before)

    assert measurer.asked == NAMES


def test_a_case_that_does_not_fit_is_left_out_and_a_shorter_one_is_not(tmp_path):
    cases = [replace(CASES[0], estimate_s=10.0), CASES[1], replace(CASES[2], estimate_s=5.0)]
    cases[1] = replace(cases[1], estimate_s=100.0)
    measurer = Measurer(seconds=10.0)
    order = Order(cases=cases, scale="tiny", device="cpu", budget_s=60, json=tmp_path / "a.json")

    report = run_suite(order, measure=measurer.measure, now_s=lambda: measurer.now)

    assert measurer.asked == [NAMES[0], NAMES[2]]
    [left_out] = report["left_out"]
    assert left_out["name"] == NAMES[1] and "100 s" in left_out["reason"]
    assert json.loads((tmp_path / "a.json").read_text())["left_out"] == [left_out]


def test_a_machine_slower_than_guessed_is_given_fewer_cases():
    cases = [replace(case, estimate_s=10.0) for case in CASES]
    measurer = Measurer(seconds=40.0)
    order = Order(cases=cases, scale="tiny", device="cpu", budget_s=70)

    report = run_suite(order, measure=measurer.measure, now_s=lambda: measurer.now)

    assert measurer.asked == NAMES[:1]
    assert [each["name"] for each in report["left_out"]] == NAMES[1:]


def test_a_case_that_fails_says_why_and_the_others_go_on():
    report = Measurer(failing=NAMES[1:2]).run()

    errors = [each["error"] for each in report["results"]]
    assert errors == [None, "BuildError: no compiler:", None, None]


def test_a_file_that_holds_something_else_is_no_report(tmp_path):
    path = tmp_path / "other.json"
    for content in ("[]", "{}", '{"suite": "webrtc", "results": []}', "nothing"):
        path.write_text(content)

        with pytest.raises(ConfigError, match="holds no results of --suite gpu"):
            read_results(path)
    assert read_results(tmp_path / "missing.json") == []


def test_a_report_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.json").mkdir()

    with pytest.raises(ConfigError, match="cannot be written"):
        write_atomically({"suite": "gpu"}, tmp_path / "a.json")
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_a_device_without_cuda_or_a_scale_too_large_is_refused():
    assert check_device("cpu", "tiny") == "cpu"
    for device, scale, sentence in (
        ("cpu", "full", "takes hours on a cpu"),
        ("mps", "full", "--device 'mps': --suite gpu takes cuda"),
        ("cpu", "huge", "--scale 'huge': choose full, tiny"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            check_device(device, scale)


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells of a machine without an NVIDIA GPU")
def test_a_machine_without_an_nvidia_gpu_is_told_what_to_do():
    for device in ("auto", "cuda", "cuda:1"):
        with pytest.raises(ConfigError, match="needs an NVIDIA GPU.*--device cpu --scale tiny"):
            check_device(device, "full")
