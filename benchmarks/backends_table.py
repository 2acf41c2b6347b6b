"""The comparison of backends as a table; measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any  # what JSON holds

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.backends import EQUAL_DB
from benchmarks.report import print_origin, print_warning


def print_backends(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Print speed and nearness of every backend; a machine that was busy is said first and last."""
    console = console or Console(highlight=False)
    print_warning(report["machine"], console)
    config = report["config"]
    steps = f"{config['steps']} step" + ("s" if config["steps"] != 1 else "")
    console.print(f"{config['model']} · {config['size']} · {steps} · {config['device']}")
    console.print(_table(report))
    if report["reason"]:
        console.print(Text(f"no ratios: {report['reason']}", style="bold red"))
    console.print(f"ratio: of fps to that of {report['reference']}, the reference")
    console.print("dB: PSNR of the pictures drawn against the reference's, mean and worst")
    turns = f"{config['frames']} frames a turn, {config['runs']} turns each; medians"
    console.print(f"in turns: {turns}")
    for name, why in report["absent"].items():
        console.print(Text(f"{name} took no part: {why}"))
    print_origin(dict(report), console)
    print_warning(report["machine"], console)


def _table(report: Mapping[str, Any]) -> Table:
    auto = set(report["auto"].values())
    table = Table()
    table.add_column("backend", no_wrap=True)
    for heading in ("fps", "runs", "ratio", "dB", "worst"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, found in report["backends"].items():
        if name in report["auto"]:  # stands there by the name of its variant
            continue
        table.add_row(
            Text(name, style="bold" if name in auto else ""),
            f"{found['fps']:.1f}",
            " - ".join(f"{each(found['runs']):.1f}" for each in (min, max)),
            "none" if found["ratio"] is None else f"{found['ratio']:.2f} ×",
            *(_decibels(found[figure]) for figure in ("psnr_db", "worst_psnr_db")),
        )
    return table


def _decibels(number: float | None) -> str:
    if number is None:  # of the reference itself
        return ""
    return "equal" if number >= EQUAL_DB else f"{number:.1f}"
