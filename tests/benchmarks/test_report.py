from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from benchmarks.frame_path import Run
from benchmarks.report import check_writable, make_report, print_report, write_json
from streamgen.errors import ConfigError
from streamgen.metrics import Percentiles

CONFIG = {
    "model": "tiny",
    "size": "64x64",
    "steps": 1,
    "backend": "torch",
    "precision": "fp32",
    "device": "cpu",
    "rejected": {"openvino": "it is not installed"},
    "guidance": "none",
    "guidance_scale": 1.0,
    "threads": None,
    "clip": "clip.mp4",
}
MACHINE = {
    "cpu": "A Processor",
    "cores": 2,
    "flags": ["avx512_bf16"],
    "memory_gib": 8.0,
    "gpu": None,
    "os": "Some System",
    "python": "3.11.0",
    "others_share_before": 0.0,
    "others_share_during": 0.4,
    "busy": False,
}
VERSIONS = {"streamgen": "0.1.0", "openvino": None, "commit": "a" * 40, "dirty": True}
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


def report_of(*rates: float, busy: bool | None = False):
    laps = Percentiles(p50=1.0, p95=2.0, p99=3.0)
    stages = {"convert": laps, "frame": laps}
    runs = [
        Run(
            frames=30,
            denoised=30,
            delay_frames=0,
            seconds=30 / fps,
            frame_ms=laps,
            stages=stages,
        )
        for fps in rates
    ]
    machine = {**MACHINE, "busy": busy}
    return make_report({"stream": runs}, config=CONFIG, machine=machine, versions=VERSIONS)


def printed(report) -> str:
    text = io.StringIO()
    print_report(report, Console(file=text, width=200))
    return text.getvalue()


def test_a_report_has_the_agreed_keys_and_the_median_run():
    report = report_of(30.0, 10.0, 20.0)

    assert set(report) == KEYS
    assert (report["fps"], report["runs"]) == (20.0, [30.0, 10.0, 20.0])
    assert report["frame_ms"] == {"p50": 1.0, "p95": 2.0, "p99": 3.0, "runs": [1.0, 1.0, 1.0]}
    assert report["stages"]["convert"] == {"p50": 1.0, "p95": 2.0, "p99": 3.0}


def test_a_report_is_the_same_after_a_file(tmp_path):
    report = report_of(25.0)

    write_json(report, tmp_path / "result.json")

    assert json.loads((tmp_path / "result.json").read_text()) == report


def test_the_table_tells_speed_machine_versions_and_what_was_not_used():
    text = printed(report_of(25.0))

    for part in ("25.0 fps", "30 of 30 frames denoised", "A Processor, 2 cores", "aaaaaaaaaaaa"):
        assert part in text
    assert "backend openvino was not used: it is not installed" in text
    assert "with changes" in text and "openvino not here" in text
    assert "BUSY" not in text


def test_a_busy_machine_is_said_before_and_after_the_figures():
    text = printed(report_of(25.0, busy=True))

    assert text.count("BUSY MACHINE") == 2
    assert "40 % during" in text


def test_a_system_that_does_not_tell_its_load_is_said_to_be_unknown():
    assert "busy is not known" in printed(report_of(25.0, busy=None))


def test_a_number_that_is_none_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json({"fps": float("nan")}, tmp_path / "result.json")


def test_a_missing_folder_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ConfigError, match="there is no folder .*missing"):
        check_writable(tmp_path / "missing" / "result.json")


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="is a folder: name a file"):
        check_writable(tmp_path)


def test_a_file_that_is_no_json_is_not_written_over(tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"\x00\x01film")
    with pytest.raises(ConfigError, match="exists and holds something else: name another file"):
        check_writable(clip)
    assert clip.read_bytes() == b"\x00\x01film"
