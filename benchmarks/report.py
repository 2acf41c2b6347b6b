"""A result as JSON and as a table; measures nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.frame_path import Run, median_run
from benchmarks.machine import others_words
from benchmarks.tables import print_parts
from streamgen.errors import ConfigError
from streamgen.metrics import Percentiles

Report = dict[str, Any]  # what JSON holds

_DIGITS = 3


def make_report(
    runs: Mapping[str, Sequence[Run]],
    *,
    config: Mapping[str, object],
    machine: Mapping[str, object],
    versions: Mapping[str, object],
) -> Report:
    """Return the median run, the figures of the others, and what they were measured with.

    runs: by the way of denoising; the first way's are the figures of the whole.
    """
    first = next(iter(runs.values()))
    median = median_run(first)
    return {
        "fps": round(median.fps, _DIGITS),
        "denoised": median.denoised,
        "frames": median.frames,
        "frame_ms": {
            **_rounded(median.frame_ms),
            "runs": [round(run.frame_ms.p50, _DIGITS) for run in first],
        },
        "stages": {name: _rounded(laps) for name, laps in median.stages.items()},
        "runs": [round(run.fps, _DIGITS) for run in first],
        "denoising": {name: _way(each) for name, each in runs.items()},
        "config": dict(config),
        "machine": dict(machine),
        "versions": dict(versions),
    }


def _way(runs: Sequence[Run]) -> dict[str, object]:
    return {
        "fps": round(median_run(runs).fps, _DIGITS),
        "delay_frames": median_run(runs).delay_frames,
        "runs": [round(run.fps, _DIGITS) for run in runs],
    }


def check_writable(path: Path) -> None:
    """Raise ConfigError if a file of this name cannot be written; asked before the work."""
    folder = path.parent
    if path.is_dir():
        raise ConfigError(f"--json '{path}' is a folder: name a file")
    if not folder.is_dir():
        raise ConfigError(f"--json '{path}': there is no folder '{folder}': make it first")
    if path.is_file() and not _is_json(path):
        raise ConfigError(f"--json '{path}' exists and holds something else: name another file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ConfigError(f"--json '{path}' cannot be written: no permission")


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8") or "null")
    except (OSError, ValueError):
        return False
    return True


def write_json(report: Mapping[str, Any], path: Path) -> None:
    """Write a report; raise ConfigError if the file cannot be written."""
    text = json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json '{path}' cannot be written: {error.strerror}") from error


def print_report(report: Report, console: Console | None = None) -> None:
    """Print figures, machine and versions; a machine that was busy is said first and last."""
    console = console or Console()
    print_warning(report["machine"], console)
    console.print(_title(report["config"]), highlight=False)
    for name, reason in report["config"]["rejected"].items():
        console.print(f"backend {name} was not used: {reason}", markup=False)
    table = Table("stage")
    for heading in ("p50 ms", "p95 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for name, laps in report["stages"].items():
        table.add_row(
            name,
            *(f"{laps[share]:.2f}" for share in ("p50", "p95", "p99")),
            style="bold" if name == "frame" else None,
            end_section=name == list(report["stages"])[-2],
        )
    console.print(table)
    runs = ", ".join(f"{fps:.1f}" for fps in report["runs"])
    drawn = f"{report['denoised']} of {report['frames']} frames denoised"
    console.print(f"[bold]{report['fps']:.1f} fps[/bold], median of {runs}; {drawn}")
    if len(report["denoising"]) > 1:
        for name, way in report["denoising"].items():
            late = f"{way['delay_frames']} frames late" if way["delay_frames"] else "no delay"
            console.print(f"{name}: {way['fps']:.1f} fps, {late}")
    print_parts(report, console)
    print_origin(report, console)
    print_warning(report["machine"], console)


def print_origin(report: Report, console: Console) -> None:
    """Print machine and versions."""
    console.print(f"machine: {_machine(report['machine'])}", highlight=False)
    console.print(f"versions: {_versions(report['versions'])}", highlight=False)


def _rounded(laps: Percentiles) -> dict[str, float]:
    return {name: round(value, _DIGITS) for name, value in asdict(laps).items()}


def _title(config: Mapping[str, Any]) -> str:
    steps = f"{config['steps']} step" + ("s" if config["steps"] != 1 else "")
    guidance = config["guidance"]
    if guidance != "none":
        guidance = f"{guidance} at {config['guidance_scale']:g}"
    made_by = f"{config['backend']} {config['precision']} on {config['device']}"
    return f"{config['model']} · {config['size']} · {steps} · {made_by} · guidance {guidance}"


def print_warning(machine: Mapping[str, Any], console: Console) -> None:
    """Say if the machine was busy, or that nobody knows."""
    if machine["busy"] is None:
        console.print("Whether the machine was busy is not known on this system.")
    if not machine["busy"]:
        return
    console.print(
        f"BUSY MACHINE: these figures are no measure of this machine, for {others_words(machine)}.",
        style="bold red",
    )


def _machine(machine: Mapping[str, Any]) -> str:
    parts = [machine["cpu"] or "unknown processor", f"{machine['cores']} cores"]
    parts += machine["flags"]
    parts += [f"{machine['memory_gib']} GiB"] if machine["memory_gib"] else []
    parts += [machine["gpu"]] if machine["gpu"] else []
    return ", ".join([*parts, machine["os"], f"Python {machine['python']}"])


def _versions(versions: Mapping[str, Any]) -> str:
    packages = {name: each for name, each in versions.items() if name not in ("commit", "dirty")}
    parts = [f"{name} {version or 'not here'}" for name, version in packages.items()]
    if versions["commit"]:
        changed = " with changes" if versions["dirty"] else ""
        parts.append(f"commit {versions['commit'][:12]}{changed}")
    return ", ".join(parts)
