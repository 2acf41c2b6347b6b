"""What a report says beyond the frame path, as tables: streams, quality, energy, rivals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.quality import print_quality

#: The forms of a rival, and what their figures begin with in a report.
FORMS: Mapping[str, str] = {"form": "", "best_form": "best_"}


def print_parts(report: Mapping[str, Any], console: Console) -> None:
    """Print those parts that a report has."""
    if report.get("streams"):
        print_streams(report["streams"], console)
    if report.get("compare"):
        print_compare(report["compare"], ours_fps=report["fps"], console=console)
    if report.get("quality"):
        print_quality(report["quality"], console)
    if report.get("energy"):
        print_energy(report, console)


def print_streams(streams: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print how fast many streams are together, and how evenly they came by it."""
    table = Table("streams")
    for heading in ("fps together", "fps each", "share, least to most", "round p50 / p95 ms"):
        table.add_column(heading, justify="right")
    for group in streams:
        laps = group["round_ms"]
        table.add_row(
            str(group["count"]),
            f"{group['fps']:.1f}",
            f"{group['fps'] / group['count']:.1f}",
            f"{100 * min(group['shares']):.1f} to {100 * max(group['shares']):.1f} %",
            f"{laps['p50']:.2f} / {laps['p95']:.2f}",
        )
    console.print(table)


def print_compare(compare: Mapping[str, Any], *, ours_fps: float, console: Console) -> None:
    """Print others' speed on the same frames, and ours over theirs where that may be told."""
    table = Table("on the same frames", "form")
    for heading in ("fps", "ours / theirs"):
        table.add_column(heading, justify="right")
    table.add_row("streamgen", "", f"{ours_fps:.1f}", "")
    for name, rival in compare.items():
        for form, prefix in FORMS.items():
            if form in rival:
                ratio = rival[f"{prefix}ratio"]
                told = "none" if ratio is None else f"{ratio:.2f} ×"
                table.add_row(name, rival[form], f"{rival[f'{prefix}fps']:.1f}", told)
    console.print(table)
    for name, rival in compare.items():
        if rival["reason"]:
            console.print(f"no ratio to {name}: {rival['reason']}", markup=False, style="bold red")
    frames = ", ".join(f"{rival['frames_per_turn']} of {name}" for name, rival in compare.items())
    console.print(f"in turns with ours, frames a turn: {frames}; medians", highlight=False)


def print_energy(report: Mapping[str, Any], console: Console) -> None:
    """Print the joules of a frame, or why there are none."""
    energy, joules = report["energy"], report["energy_j_per_frame"]
    if joules is None:
        console.print(f"energy a frame: unknown, {energy['reason']}", markup=False, highlight=False)
    else:
        told = f"energy a frame: {joules:.3g} J by {energy['source']}, idle power included"
        console.print(told, markup=False, highlight=False)
