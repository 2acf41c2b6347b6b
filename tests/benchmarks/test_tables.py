from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.tables import print_parts


@pytest.fixture
def printed(report):
    def show(**changes) -> str:
        text = io.StringIO()
        print_parts(report | changes, Console(file=text, width=160))
        return text.getvalue()

    return show


def test_streams_are_told_together_each_and_by_share(printed):
    text = printed()

    assert "120.0" in text and "60.0" in text
    assert "50.0 to 50.0 %" in text


def test_rivals_are_told_with_both_ratios(printed):
    text = printed()

    assert "10.00 ×" in text and "5.00 ×" in text
    assert "30 of diffusers" in text


def test_a_ratio_that_may_not_be_told_is_replaced_by_its_reason(printed, report):
    busy = {"ratio": None, "best_ratio": None, "reason": "the machine was busy: so it was"}

    text = printed(compare={"diffusers": report["compare"]["diffusers"] | busy})

    assert "no ratio to diffusers: the machine was busy: so it was" in text
    assert "×" not in text


def test_energy_is_a_figure_with_its_source_or_a_reason(printed):
    source = {"source": "RAPL (package-0)", "reason": None}

    assert "energy a frame: unknown, there are no counters" in printed()
    assert "0.421 J by RAPL (package-0)" in printed(energy_j_per_frame=0.4213, energy=source)


def test_a_report_without_parts_prints_nothing(printed):
    assert printed(streams=[], compare={}, energy={}) == ""
