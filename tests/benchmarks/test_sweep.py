from __future__ import annotations

import copy
import io

import pytest
from rich.console import Console

from benchmarks.sweep import joined, print_sweep


@pytest.fixture
def larger(report):
    """The same at another size, with two steps, on a busy machine."""
    other = copy.deepcopy(report)
    other["config"] |= {"size": "96x96", "steps": 2}
    other["fps"] = 44.0
    other["denoising"]["sequential"] = {"fps": 41.0, "delay_frames": 0, "runs": [41.0]}
    other["machine"] |= {"busy": True, "others_share_during": 0.3}
    other["compare"]["diffusers"] |= {"ratio": None, "best_ratio": None, "reason": "it was busy"}
    return other


def printed(report, width=200) -> str:
    text = io.StringIO()
    print_sweep(report, Console(file=text, width=width))
    return text.getvalue()


def test_the_first_result_is_the_whole_reports_and_all_are_kept(report, larger):
    whole = joined([report, larger])

    assert whole["fps"] == report["fps"]
    assert whole["results"] == [report, larger]
    assert "results" not in report


def test_one_result_is_a_report_by_itself(report):
    assert joined([report]) is report


def test_every_result_has_a_row_in_one_table(report, larger):
    text = printed(joined([report, larger]))

    rows = [line for line in text.splitlines() if "64x64" in line or "96x96" in line]
    assert len(rows) == 2
    for part in ("100.0", "10.00 / 12.00", "120.0", "10.0 (10.00 ×)", "idle"):
        assert part in rows[0]
    for part in ("44.0", "41.0", "10.0 (no ratio)", "BUSY"):
        assert part in rows[1]
    assert "2 streams" in text and "A Processor, 2 cores" in text


def test_one_busy_result_is_said_above_and_below(report, larger):
    text = printed(joined([report, larger]))

    assert text.count("BUSY MACHINE") == 2
    assert "30 % during" in text
    assert "diffusers: no ratio where the machine was busy" in text


def test_an_idle_machine_is_not_warned_of(report):
    assert "BUSY" not in printed(joined([report, report]))


def test_no_figure_is_cut_off_on_a_narrow_terminal(report, larger):
    whole = joined([report, larger])

    narrow = [line for line in printed(whole, width=40).splitlines() if "64x64" in line]
    wide = [line for line in printed(whole).splitlines() if "64x64" in line]
    assert [line.split() for line in narrow] == [line.split() for line in wide]
