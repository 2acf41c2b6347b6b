"""The figures of the whole way as a table and as a picture; measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.report import Report, print_origin, print_warning
from benchmarks.webrtc.suite import BROWSER, PEER, Seen
from streamgen.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES: Mapping[str, str] = {
    "passthrough": "pass-through",
    "echo": "bare echo",
    "slow_model": "200 ms model",
    "tiny": "tiny",
}
_MS = ("p50_ms", "p95_ms", "p99_ms", "jitter_ms", "max_age_ms")


def print_webrtc(report: Report, console: Console | None = None) -> None:
    """Print figures, machine and versions; a machine that was busy is said first and last."""
    console = console or Console()
    print_warning(report["machine"], console)
    config = report["config"]
    console.print(
        f"glass to glass · {config['size']} at {config['fps']} fps there and back"
        f" · {config['seconds']:g} s each, {config['turns']} turns of ours and the echo; in ms",
        highlight=False,
    )
    # Fits into 80 columns.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("seen by", no_wrap=True)
    table.add_column("through", no_wrap=True)
    for heading in ("p50", "p95", "p99", "jitter", "max", "ms/s", "fps", "drops"):
        table.add_column(heading, justify="right")
    for client, subject, told in _rows(report):
        table.add_row(
            client,
            TITLES[subject],
            *(f"{told[name]:.1f}" for name in _MS),
            f"{told['trend_ms_per_s']:+.2f}",
            f"{told['fps']:.1f}",
            str(told["drops"]),
        )
    console.print(table)
    _print_ratios(report, console)
    print_origin(report, console)
    print_warning(report["machine"], console)


def _print_ratios(report: Report, console: Console) -> None:
    if report["reason"]:
        console.print(f"no ratio to the echo: {report['reason']}", markup=False, style="bold red")
        return
    ours = report["passthrough"]
    told = f"{ours['ratio_to_echo']:.2f} × the echo's median in the browser"
    if PEER in ours:
        told += f", {ours[PEER]['ratio_to_echo']:.2f} × by an aiortc peer"
    console.print(f"[bold]pass-through: {told}[/bold]", highlight=False)
    if slow := report.get("slow_model"):
        console.print(
            f"with a model of 200 ms the oldest picture was {slow['max_age_ms']:.0f} ms old;"
            f" {slow['allowed_age_ms']:.0f} ms are one call of it, the p95 of pass-through and"
            " one picture",
            highlight=False,
        )


def _rows(report: Report) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for client in (BROWSER, PEER):
        for subject in TITLES:
            told = report.get(subject, {})
            told = told if client == BROWSER else told.get(client, {})
            if told:
                yield client, subject, told


def draw_webrtc(report: Report, seen: Seen, path: Path) -> None:
    """Draw a PNG: how old pictures are, and how that goes over time."""
    # The package works without it; without pyplot no window system is asked for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.4), dpi=110, layout="constrained")
    machine = report["machine"]
    title = (
        f"glass to glass, {report['config']['size']}\n{machine['cpu']}, {machine['cores']} cores"
    )
    if machine["busy"]:
        title += "\nBUSY MACHINE: no measure of it"
    figure.suptitle(title, fontsize="medium")
    _draw_shares(figure.add_subplot(1, 2, 1), report, seen)
    _draw_over_time(figure.add_subplot(1, 2, 2), seen)
    try:
        figure.savefig(path)
    except OSError as error:
        raise ConfigError(f"--plot '{path}' cannot be written: {error.strerror}") from error


def _draw_shares(axes: Axes, report: Report, seen: Seen) -> None:
    """Draw which share of the pictures is how old at most."""
    for (subject, client), turns in seen.turns.items():
        # Lines side by side are a ratio, too: not of a busy machine.
        if report["reason"] and subject == "echo":
            continue
        ages = sorted(age for turn in turns for age in turn.ages)
        shares = 100 * np.arange(1, len(ages) + 1) / len(ages)
        style = "-" if client == BROWSER else "--"
        axes.plot(ages, shares, style, label=f"{TITLES[subject]}, {client}")
    axes.set(title="age when first seen", xlabel="ms at most", ylabel="% of the pictures")
    axes.set(xlim=(0, None), ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _draw_over_time(axes: Axes, seen: Seen) -> None:
    """Draw the age of every picture over time, in the browser, in its first turn."""
    for (subject, client), turns in seen.turns.items():
        if client != BROWSER or subject == "echo":
            continue
        times = np.array([at for _, _, at in turns[0].first]) / 1000
        axes.plot(times - times[0], turns[0].ages, ".", markersize=3, label=TITLES[subject])
    axes.set(title="age over time, first turn", xlabel="s", ylabel="ms", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
