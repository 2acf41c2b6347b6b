"""Real cases at the tiny scale, on the CPU, without a compiler."""

from __future__ import annotations

import math

import pytest

from benchmarks.gpu.cases import Case, all_cases
from benchmarks.gpu.measure import measure_case
from benchmarks.gpu.peak import Peak
from benchmarks.gpu.rig import Bench
from engines.cache import EngineCache
from streamgen.sources import Size

PEAK = Peak(flops=1e12, bytes=1e11, source="measured", measured_flops=1e12, measured_bytes=1e11)


@pytest.fixture
def bench(tmp_path):
    return Bench(device="cpu", precision="fp32", scale=0.1, cache=EngineCache(tmp_path))


def case_of(mode: str, **other: object) -> Case:
    asked = {"shape": "sd-turbo", "size": Size(64, 64), "steps": 1, "streams": 2, "frames": 2}
    much = {"runs": 3, "warmup": 1, "estimate_s": 1.0, "mode": mode}
    return Case(**{**asked, **much, **other})


def test_the_plain_mode_is_measured_by_itself(bench):
    result = measure_case(case_of("eager", steps=2), bench, PEAK)

    assert len(result["runs"]) == 3
    assert result["fps"] == sorted(result["runs"])[1] > 0
    assert result["against"] is None
    assert result["graph"] == {"asked": False, "captured": False, "reason": None}
    assert result["memory"]["weights_mib"] > 1
    assert "device_mib" not in result["memory"]


def test_another_mode_is_measured_in_turns_with_the_plain_one(bench):
    result = measure_case(case_of("eager-graph"), bench, PEAK)

    against = result["against"]
    assert against["mode"] == "eager"
    assert len(against["runs"]) == len(result["runs"]) == 3
    assert against["agreement_db"] > 60
    # Which of the two it is depends on what else this machine does now.
    assert (against["ratio"] is None) is bool(result["busy"])
    assert (against["reason"] is None) is not bool(result["busy"])
    graph = result["graph"]
    assert graph["asked"] and not graph["captured"] and graph["reason"]


def test_the_roofline_is_that_of_all_networks_of_a_tick(bench):
    one = measure_case(case_of("eager", streams=1), bench, PEAK)["roofline"]
    two = measure_case(case_of("eager", streams=2), bench, PEAK)["roofline"]

    assert set(one["gflop"]) == {"vae_encoder", "unet", "vae_decoder"}
    for role, gflop in two["gflop"].items():
        assert math.isclose(gflop, 2 * one["gflop"][role], rel_tol=0.05)
        # Weights are read once, however many there are.
        assert two["gbyte"][role] < 2 * one["gbyte"][role] + 1e-3
    assert 0 < one["least_ms"] < two["least_ms"]
    assert one["share"] > 0 and one["share_of_flops"] <= one["share"]


def test_stability_is_looked_at_from_part_to_part(bench):
    case = case_of("eager-graph", kind="stability", frames=20, runs=1)

    result = measure_case(case, bench, PEAK)

    stability = result["stability"]
    assert stability["frames"] == 20
    assert len(stability["tick_ms"]) + 1 == len(stability["allocated_mib"]) == 21
    assert result["against"] is None and result["fps"] > 0


def test_every_shape_is_measured_at_the_tiny_scale(bench):
    for case in all_cases("tiny"):
        if case.mode == "eager" and case.shape != "sd-turbo":
            assert measure_case(case, bench, PEAK)["fps"] > 0
