from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from benchmarks.energy import NvmlMeter, PowerLog, find_meter, joules_per_frame


def write_zone(root, name, *, called, uj, most=10**9):
    zone = root / name
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "name").write_text(f"{called}\n")
    (zone / "energy_uj").write_text(f"{uj}\n")
    (zone / "max_energy_range_uj").write_text(f"{most}\n")
    return zone


def test_packages_and_memory_are_added_and_what_lies_inside_them_is_not(tmp_path):
    zones = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    for name, called in zones.items():
        write_zone(tmp_path, name, called=called, uj=1_000_000)
    metering = find_meter("cpu", root=tmp_path)
    metering.meter.start()
    for name, called in zones.items():
        write_zone(tmp_path, name, called=called, uj=3_500_000)

    assert metering.meter.stop() == pytest.approx(2 * 2.5)
    assert metering.meter.source == "RAPL (package-0, dram)"
    assert metering.is_shared


def test_a_counter_that_began_again_is_counted_on(tmp_path):
    write_zone(tmp_path, "intel-rapl:0", called="package-0", uj=9_000_000, most=9_999_999)
    meter = find_meter("cpu", root=tmp_path).meter
    meter.start()
    write_zone(tmp_path, "intel-rapl:0", called="package-0", uj=500_000, most=9_999_999)

    assert meter.stop() == pytest.approx(1.5)


def test_a_machine_without_counters_says_so(tmp_path):
    metering = find_meter("cpu", root=tmp_path)

    assert metering.meter is None
    assert metering.reason == f"{tmp_path} has no RAPL counters"


def test_counters_that_cannot_be_read_are_a_reason(tmp_path):
    zone = write_zone(tmp_path, "intel-rapl:0", called="package-0", uj=0)
    (zone / "energy_uj").unlink()
    (zone / "energy_uj").mkdir()

    metering = find_meter("cpu", root=tmp_path)

    assert metering.meter is None
    assert "cannot be read (Is a directory)" in metering.reason


def test_a_gpu_counts_its_own_millijoules():
    counter = iter([1_000, 2_000, 5_500])
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(counter),
    )
    meter = NvmlMeter(nvml, "GPU-1")
    meter.start()

    assert meter.stop() == pytest.approx(3.5)


def test_watts_that_are_printed_times_seconds_are_joules(millisecond_clock):
    said = "print('100.0\\n[N/A]\\n300.0\\n7', end='', flush=True); input()"
    meter = PowerLog((sys.executable, "-c", said), now_ns=millisecond_clock)
    meter.start()
    meter.process.wait()

    assert meter.stop() == pytest.approx(200 * 0.001)


def test_a_program_that_prints_no_watts_gives_no_joules(millisecond_clock):
    meter = PowerLog((sys.executable, "-c", "print('[N/A]')"), now_ns=millisecond_clock)
    meter.start()

    assert meter.stop() is None


def test_joules_are_divided_by_the_frames_of_all_runs():
    assert joules_per_frame([3.0, 5.0], 16, is_busy=False, is_shared=True) == (0.5, None)


def test_what_others_used_is_not_told_as_ours():
    shared = joules_per_frame([3.0], 10, is_busy=True, is_shared=True)
    own = joules_per_frame([3.0], 10, is_busy=True, is_shared=False)

    assert shared[0] is None and "busy" in shared[1]
    assert own == (0.3, None)


def test_a_run_that_was_not_metered_makes_the_figure_unknown():
    joules, reason = joules_per_frame([3.0, None], 10, is_busy=False, is_shared=True)

    assert joules is None
    assert "measure more frames" in reason
