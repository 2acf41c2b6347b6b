from __future__ import annotations

import io

import pytest
from PIL import Image
from rich.console import Console

from benchmarks.gpu.plot import draw_gpu
from benchmarks.gpu.table import print_gpu

LAPS = {"p50": 5.0, "p95": 6.0, "p99": 7.0}


def result_of(mode, **other):
    name = f"sd-turbo-512-1step-1stream-{mode}"
    plain = {
        "name": name,
        "error": None,
        "config": {"mode": mode},
        "fps": 200.0,
        "tick_ms": LAPS,
        "graph": {"asked": mode != "eager", "captured": mode != "eager", "reason": None},
        "memory": {"device_mib": 3000.0},
        "roofline": {"share": 0.25},
        "busy": False,
        "against": None,
    }
    return plain | other


@pytest.fixture
def gpu_report(report):
    against = {"mode": "eager", "fps": 50.0, "ratio": 4.0, "reason": None}
    stability = {
        "frames": 10_000,
        "allocated_mib": [3000.0, 3000.0, 3000.0],
        "allocated_growth_bytes": 0,
        "allocations_per_frame": 0.0,
        "tick_ms": [5.0, 5.1],
    }
    peak = {"tflops": 989, "gb_per_s": 4800, "source": "data sheet"}
    return {
        "suite": "gpu",
        "scale": "full",
        "config": {"device": "cuda", "precision": "bf16"},
        "machine": report["machine"] | {"gpu": "NVIDIA H200"},
        "versions": report["versions"] | {"torch": "2.13.0"},
        "peak": peak | {"measured_tflops": 700, "measured_gb_per_s": 4200},
        "results": [
            result_of("eager"),
            result_of("inductor", against=against),
            {"name": "broken", "error": "BuildError: no compiler", "config": {"mode": "inductor"}},
            result_of("inductor", name="stable", stability=stability),
        ],
        "left_out": [{"name": "long", "reason": "takes about 300 s, after 100 s"}],
    }


def printed(report, width=200):
    text = io.StringIO()
    print_gpu(report, Console(file=text, width=width))
    return text.getvalue()


def test_every_result_has_a_row(gpu_report):
    text = printed(gpu_report)

    [compiled] = [line for line in text.splitlines() if "1stream-inductor" in line]
    for part in ("200.0", "5.00 / 6.00", "4.00", "25.0 %", "3000", "idle"):
        assert part in compiled
    assert "failed" in text and "broken: failed: BuildError: no compiler" in text
    assert "left out: long, takes about 300 s" in text
    assert "989 TFLOP/s, 4800 GB/s" in text and "NVIDIA H200" in text
    assert "random weights" in text


def test_stability_is_a_sentence(gpu_report):
    assert "stable: 10000 frames, memory grew by 0 bytes" in printed(gpu_report)


def test_what_disturbs_is_said(gpu_report):
    other = {"ratio": None, "reason": "the machine was busy"}
    gpu_report["results"][1]["against"] |= other
    gpu_report["results"][1]["busy"] = True
    gpu_report["results"][1]["graph"] |= {"captured": False, "reason": "no CUDA here"}

    text = printed(gpu_report)

    assert "no ratio: the machine was busy" in text
    assert "ran without a CUDA graph: no CUDA here" in text
    assert "BUSY" in text


def test_no_figure_is_cut_off_on_a_narrow_terminal(gpu_report):
    [row] = [line for line in printed(gpu_report, 40).splitlines() if "1stream-inductor" in line]

    assert "5.00 / 6.00" in row and "idle" in row


def test_the_plot_has_a_third_panel_for_stability(gpu_report, tmp_path):
    draw_gpu(gpu_report, tmp_path / "three.png")
    del gpu_report["results"][3]
    draw_gpu(gpu_report, tmp_path / "two.png")

    with Image.open(tmp_path / "three.png") as three, Image.open(tmp_path / "two.png") as two:
        assert three.width > two.width


def test_a_plot_of_nothing_is_drawn_all_the_same(gpu_report, tmp_path):
    gpu_report["results"] = []

    draw_gpu(gpu_report, tmp_path / "empty.png")

    assert (tmp_path / "empty.png").stat().st_size > 0
