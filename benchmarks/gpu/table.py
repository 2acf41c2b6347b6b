"""The suite's report as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from benchmarks.report import print_origin
from benchmarks.sweep import STATES

_WIDEST = 1000


def print_gpu(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a row for every result, what was left out, and what it was measured on."""
    console = console or Console()
    config, peak = report["config"], report["peak"]
    console.print(
        f"gpu suite, scale {report['scale']}, {config['precision']} on {config['device']}, random"
        " weights: speed only",
        highlight=False,
    )
    told = f"peak by {peak['source']}: {peak['tflops']:g} TFLOP/s, {peak['gb_per_s']:g} GB/s"
    measured = f"{peak['measured_tflops']:g} and {peak['measured_gb_per_s']:g} here"
    console.print(f"{told}; a product and a copy reached {measured}", highlight=False)
    table = _table(report["results"])
    # A figure that is cut off is worse than a line that is too long.
    wide = console.options.update(width=_WIDEST)
    table.width = Measurement.get(console, wide, table).maximum
    console.print(table, crop=False)
    for result in report["results"]:
        _print_notes(result, console)
    for each in report["left_out"]:
        console.print(f"left out: {each['name']}, {each['reason']}", markup=False, highlight=False)
    print_origin(dict(report), console)


def _table(results: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("case")
    for heading in ("fps", "tick ms\np50 / p95", "times\neager", "of the\nroofline", "GPU\nMiB"):
        table.add_column(heading, justify="right")
    table.add_column("machine")
    for column in table.columns:
        column.no_wrap = True
    for result in results:
        if result["error"] is None:
            table.add_row(result["name"], *_figures(result), STATES[result["busy"]])
        else:
            table.add_row(result["name"], "failed", style="bold red")
    return table


def _figures(result: Mapping[str, Any]) -> list[str]:
    laps, against = result["tick_ms"], result["against"]
    ratio = "" if against is None else f"{against['ratio']:.2f}" if against["ratio"] else "none"
    device_mib = result["memory"].get("device_mib")
    return [
        f"{result['fps']:.1f}",
        f"{laps['p50']:.2f} / {laps['p95']:.2f}",
        ratio,
        f"{100 * result['roofline']['share']:.1f} %",
        "" if device_mib is None else f"{device_mib:.0f}",
    ]


def _print_notes(result: Mapping[str, Any], console: Console) -> None:
    """Say what a table has no room for: errors, graphs that are none, no ratio, stability."""
    notes = []
    if result["error"] is not None:
        notes.append(f"failed: {result['error']}")
    else:
        graph, against = result["graph"], result["against"]
        if graph["asked"] and not graph["captured"]:
            notes.append(f"ran without a CUDA graph: {graph['reason']}")
        if against is not None and against["reason"]:
            notes.append(f"no ratio: {against['reason']}")
        if "stability" in result:
            notes.append(_stability(result["stability"]))
    for note in notes:
        console.print(f"{result['name']}: {note}", markup=False, highlight=False)


def _stability(stability: Mapping[str, Any]) -> str:
    grown, made = stability["allocated_growth_bytes"], stability["allocations_per_frame"]
    allocations = "" if made is None else f", {made:g} allocations a frame"
    first, last = stability["tick_ms"][0], stability["tick_ms"][-1]
    return (
        f"{stability['frames']} frames, memory grew by {grown} bytes after the first part"
        f"{allocations}; tick {first:.2f} ms at first, {last:.2f} ms at last"
    )
