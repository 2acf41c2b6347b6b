"""From turns to a report, a table and a plot."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from benchmarks.webrtc.ages import Turn
from benchmarks.webrtc.suite import BROWSER, PEER, Plan, Seen, make_report
from benchmarks.webrtc.table import draw_webrtc, print_webrtc
from streamgen.errors import StreamgenError


def turn(*ages: float) -> Turn:
    first = tuple((number, age, 1000.0 * number) for number, age in enumerate(ages))
    return Turn(drawn=len(ages) + 1, first=first, looks=len(ages), unread=0, seconds=2.0)


@pytest.fixture
def seen() -> Seen:
    seen = Seen(facts={"tiny": {"backend": "openvino"}})
    for client in (BROWSER, PEER):
        seen.note("passthrough", client, turn(30.0, 40.0, 50.0))
        seen.note("echo", client, turn(80.0, 80.0))
        seen.note("passthrough", client, turn(40.0, 40.0))
    seen.note("slow_model", BROWSER, turn(240.0, 250.0))
    seen.note("tiny", BROWSER, turn(90.0, 95.0))
    return seen


@pytest.fixture
def measured(seen: Seen, report: dict[str, Any]):
    def make(*, busy: bool) -> dict[str, Any]:
        machine = report["machine"] | {"busy": busy}
        return make_report(seen, plan=Plan(seconds=4), machine=machine, versions=report["versions"])

    return make


def test_the_report_has_every_subject_and_ours_over_the_echos(measured):
    told = measured(busy=False)

    assert (told["passthrough"]["p50_ms"], told["echo"]["p50_ms"]) == (40.0, 80.0)
    assert told["passthrough"]["ratio_to_echo"] == 0.5
    assert told["passthrough"]["peer"]["ratio_to_echo"] == 0.5
    assert told["slow_model"]["max_age_ms"] == 250.0
    assert told["slow_model"]["allowed_age_ms"] == pytest.approx(
        200 + told["passthrough"]["p95_ms"] + 1000 / 30, abs=0.01
    )
    assert told["tiny"]["backend"] == "openvino"
    assert told["passthrough"]["turns"] == [40.0, 40.0]


def test_a_busy_machine_gets_no_ratio_in_report_table_and_plot(measured, seen, tmp_path):
    told = measured(busy=True)
    said = io.StringIO()
    print_webrtc(told, Console(file=said, width=80))
    draw_webrtc(told, seen, tmp_path / "plot.png")

    assert told["passthrough"]["ratio_to_echo"] is None
    assert told["passthrough"]["peer"]["ratio_to_echo"] is None
    assert "no ratio to the echo" in said.getvalue()
    assert " × " not in said.getvalue()
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_fits_into_80_columns(measured):
    said = io.StringIO()
    print_webrtc(measured(busy=False), Console(file=said, width=80))

    assert "…" not in said.getvalue()
    assert "0.50 × the echo's median in the browser" in said.getvalue()
    for title in ("pass-through", "bare echo", "200 ms model", "tiny"):
        assert title in said.getvalue()


def test_a_subject_that_shows_nothing_is_told(seen):
    with pytest.raises(StreamgenError, match="tiny: no picture came back to the browser"):
        seen.note("tiny", BROWSER, turn())
