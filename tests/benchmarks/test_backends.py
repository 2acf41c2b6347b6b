from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from benchmarks.backends import (
    EQUAL_DB,
    REFERENCE,
    Choice,
    Contest,
    Variant,
    backends_facts,
    choose_variants,
    nearness,
)
from benchmarks.backends_table import print_backends
from benchmarks.clip import read_clip
from benchmarks.frame_path import Plan, Run
from engines.errors import EngineError
from engines.registry import BackendRow
from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.metrics import Percentiles

TORCH = BackendRow(
    name="torch", module="engines.backends.torch", factory="TorchBackend", auto_devices=("*",)
)
BROKEN = BackendRow(
    name="broken", module="package_not_there", factory="Backend", auto_devices=("cpu",)
)
TABLE = (BROKEN, TORCH)
FP32, BF16 = (Variant(backend="torch", precision=precision) for precision in ("fp32", "bf16"))


def runs_of(*rates: float) -> list[Run]:
    return [
        Run(
            frames=10,
            denoised=10,
            delay_frames=0,
            seconds=10 / fps,
            frame_ms=(laps := Percentiles(p50=1000 / fps, p95=1000 / fps, p99=1000 / fps)),
            stages={"frame": laps},
        )
        for fps in rates
    ]


def facts(reason: str | None = None) -> dict[str, object]:
    runs = {"torch-fp32": runs_of(10, 11, 9), "torch-bf16": runs_of(20, 30, 25)}
    near = {"torch-bf16": {"psnr_db": 41.5, "worst_psnr_db": 40.0}}
    precisions = {name: {"unet": name.partition("-")[2]} for name in runs}
    auto = {"torch": FP32, "openvino": Variant(backend="openvino", precision="bf16")}
    return backends_facts(runs, near, precisions=precisions, auto=auto, reason=reason)


def test_all_that_runs_takes_part_the_reference_first():
    choice = choose_variants((), device="cpu", table=TABLE)

    assert choice.variants == (FP32, BF16)
    assert choice.auto == {"torch": FP32}
    assert choice.absent["broken"].endswith("pip install package_not_there")


def test_named_ones_take_part_beside_the_reference():
    assert choose_variants(("torch-bf16",), device="cpu", table=TABLE).variants == (FP32, BF16)
    assert choose_variants(("torch-fp32",), device="cpu", table=TABLE).variants == (FP32,)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken", "'broken' does not run here: No module named 'package_not_there': pip install"),
        ("broken-fp32", "'broken-fp32' does not run here"),
        ("torch-int8", "'torch-int8': choose torch, torch-fp32, torch-bf16"),
    ],
)
def test_a_name_that_cannot_be_had_says_what_can(name, sentence):
    with pytest.raises(ConfigError, match=sentence):
        choose_variants((name,), device="cpu", table=TABLE)


def test_what_cannot_be_loaded_is_absent_unless_it_was_named(engines, clip):
    def load(variant: Variant):
        if variant == BF16:
            raise EngineError("it is not exact enough")
        return engines

    plan = Plan(frames=2, runs=1, warmup=0)
    contest = Contest(Controls(), clip=read_clip(clip, limit=2), plan=plan)
    choice = Choice(variants=(FP32, BF16), auto={}, absent={"broken": "missing"})
    contest.load(choice, load)

    assert list(contest.engines) == ["torch-fp32"]
    assert contest.absent == {"broken": "missing", "torch-bf16": "it is not exact enough"}
    named = Choice(variants=(FP32, BF16), auto={}, absent={}, named=("torch-bf16",))
    with pytest.raises(EngineError, match="not exact enough"):
        contest.load(named, load)


def test_the_same_engines_draw_equal_pictures_and_are_measured_in_turns(engines, clip):
    plan = Plan(frames=3, runs=2, warmup=1)
    contest = Contest(Controls(prompts="watercolor"), clip=read_clip(clip, limit=4), plan=plan)
    contest.engines = {REFERENCE.name: engines, "torch-bf16": engines}

    near = contest.compare()
    runs, loads = contest.measure()

    assert near == {"torch-bf16": {"psnr_db": EQUAL_DB, "worst_psnr_db": EQUAL_DB}}
    assert {name: [run.frames for run in each] for name, each in runs.items()} == {
        "torch-fp32": [3, 3],
        "torch-bf16": [3, 3],
    }
    assert set(loads) == {"load_average", "others_share_before", "others_share_during", "busy"}
    assert contest.precisions()["torch-fp32"]["unet"] == "fp32"


def test_nearness_is_the_mean_of_the_pictures_and_the_worst_one():
    grey = np.full((4, 4, 3), 100, np.uint8)

    near = nearness([grey, grey + 255 // 51], [grey, grey])

    worst = round(20 * np.log10(255 / 5), 2)
    assert near["worst_psnr_db"] == worst
    assert near["psnr_db"] == pytest.approx((EQUAL_DB + worst) / 2, abs=0.01)


def test_a_backend_is_there_by_its_own_name_as_what_auto_makes_of_it():
    told = facts()

    backends = told["backends"]
    assert list(backends) == ["torch-fp32", "torch-bf16", "torch"]
    assert backends["torch"] == backends["torch-fp32"]
    assert told["auto"] == {"torch": "torch-fp32"}
    assert (backends["torch-bf16"]["fps"], backends["torch-bf16"]["psnr_db"]) == (25.0, 41.5)
    assert backends["torch-fp32"]["psnr_db"] is None


def test_ratios_are_those_of_the_medians_and_there_are_none_from_a_busy_machine():
    told, busy = facts(), facts(reason="the machine was busy")

    assert told["backends"]["torch-bf16"]["ratio"] == 2.5
    assert told["ratios"]["torch-fp32"] == {"torch-bf16": 0.4}
    assert busy["ratios"] == {} and busy["backends"]["torch-bf16"]["ratio"] is None


@pytest.mark.parametrize("reason", [None, "the machine was busy"])
def test_the_table_fits_into_80_columns(report, reason):
    console = Console(file=io.StringIO(), width=80)
    told = facts(reason)
    told["backends"]["onnxruntime-fp32"] = told["backends"]["torch-bf16"] | {"psnr_db": EQUAL_DB}
    config = report["config"] | {"frames": 300, "runs": 3}
    absent = {"inductor": "finds no compiler; apt install g++"}

    print_backends(report | told | {"config": config, "absent": absent}, console)

    text = console.file.getvalue()
    assert "onnxruntime-fp32" in text and "equal" in text
    assert ("2.50 ×" in text) is (reason is None)
    assert "inductor took no part: finds no compiler; apt install g++" in text
    assert max(map(len, text.splitlines())) <= 80
