"""Several sizes and step counts, each measured by itself, as one report and one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from benchmarks.report import Report, print_origin, print_warning
from benchmarks.tables import FORMS
from streamgen.controls import Controls
from streamgen.sources import Size

_WIDEST = 1000
#: What a table says of a machine.
STATES = {True: "BUSY", False: "idle", None: "unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One combination that is measured on engines of its own."""

    size: Size
    controls: Controls


def joined(reports: Sequence[Report]) -> Report:
    """Return the first report, with all of them under `results` where there are several."""
    return reports[0] if len(reports) == 1 else {**reports[0], "results": list(reports)}


def print_sweep(report: Report, console: Console | None = None) -> None:
    """Print one table of all results; what was busy is said above, below and in its row."""
    console = console or Console()
    results = report["results"]
    busiest = _busiest(results)
    print_warning(busiest, console)
    config = report["config"]
    made_by = f"{config['backend']} {config['precision']} on {config['device']}"
    title = f"{config['model']} · {made_by} · guidance {config['guidance']}"
    console.print(title, highlight=False)
    table = _table(results)
    # A figure that is cut off is worse than a line that is too long.
    wide = console.options.update(width=_WIDEST)
    table.width = Measurement.get(console, wide, table).maximum
    console.print(table, crop=False)
    for name in report.get("compare", {}):
        if any(result["compare"][name]["reason"] for result in results):
            why = "no ratio where the machine was busy"
            console.print(f"{name}: {why}", markup=False, style="bold red")
    print_origin(report, console)
    print_warning(busiest, console)


def _table(results: Sequence[Report]) -> Table:
    """Return a row of figures for every result."""
    columns = _columns(results)
    table = Table("size", "steps")
    for heading in columns:
        table.add_column(heading, justify="right")
    table.add_column("machine")
    for column in table.columns:
        column.no_wrap = True
    for result in results:
        cells = _cells(result)
        size, steps = str(result["config"]["size"]), str(result["config"]["steps"])
        figures = [cells.get(heading, "") for heading in columns]
        table.add_row(size, steps, *figures, STATES[result["machine"]["busy"]])
    return table


def _busiest(results: Sequence[Report]) -> Mapping[str, Any]:
    """Return the machine of the result that others disturbed most."""
    return max(
        (result["machine"] for result in results),
        key=lambda machine: (
            bool(machine["busy"]),
            max(machine["others_share_before"] or 0, machine["others_share_during"] or 0),
        ),
    )


def _columns(results: Sequence[Report]) -> list[str]:
    """Return the headings that any result has, in the order of their first."""
    return list(dict.fromkeys(heading for result in results for heading in _cells(result)))


def _cells(result: Report) -> dict[str, str]:
    laps = result["frame_ms"]
    cells = {"fps": f"{result['fps']:.1f}", "frame ms\np50 / p95": _laps(laps)}
    ways = result["denoising"]
    if "sequential" in ways and len(ways) > 1:
        cells["fps\nsequential"] = f"{ways['sequential']['fps']:.1f}"
    for group in result.get("streams", []):
        count = group["count"]
        heading = "1 stream" if count == 1 else f"{count} streams"
        cells[f"fps\n{heading}"] = f"{group['fps']:.1f}"
    for name, rival in result.get("compare", {}).items():
        for form, prefix in FORMS.items():
            if form in rival:
                ratio = rival[f"{prefix}ratio"]
                heading = "\n".join([name, *rival[form].split(", ")])
                over = "no ratio" if ratio is None else f"{ratio:.2f} ×"
                cells[heading] = f"{rival[f'{prefix}fps']:.1f} ({over})"
    if "quality" in result:
        cells["warp error\nx1000"] = f"{1000 * result['quality']['warp_error']:.3f}"
    if result.get("energy_j_per_frame") is not None:
        cells["J\na frame"] = f"{result['energy_j_per_frame']:.3g}"
    return cells


def _laps(laps: Mapping[str, float]) -> str:
    return f"{laps['p50']:.2f} / {laps['p95']:.2f}"
