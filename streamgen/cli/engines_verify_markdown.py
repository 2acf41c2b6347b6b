"""The report of `engines verify --report` as Markdown, to be pasted elsewhere; looks at nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any  # what JSON holds

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.report import print_origin
from streamgen.cli.engines_list import decibels, megabytes

#: Lines are not broken at the width of this terminal.
_WIDE = 1000
_HEADINGS = ("network", "batch", "precision", "computes in", "built in s", "MB", "weights MB")
_FIGURES = ("dB", "needed", "off by", "finite", "")


def markdown_of(report: Mapping[str, Any]) -> str:
    """Return the report as text; report: plain data as `engines_verify` makes it."""
    file = io.StringIO()
    console = Console(file=file, width=_WIDE, highlight=False, color_system=None)
    verdict = "PASSED" if report["passed"] else "FAILED"
    _say(f"### `streamgen engines verify --report`: {verdict}", console)
    for subject in report["subjects"]:
        _say("", console)
        _say("**{model} {size}, {backend} in {precision} on {device}**".format(**subject), console)
        _say("", console)
        for check in subject["checks"]:
            _say(_line(check), console)
        _say(_memory_line(subject["checks"]), console)
        _say("", console)
        console.print(_table(subject["networks"]))
        for network in subject["networks"]:
            if network["failure"]:
                _say(f"\n{network['role']}: {network['failure']}", console)
    _say("", console)
    for backend, check in report["proofs"].items():
        _say(_line(check | {"name": f"proof of {backend}"}), console)
    for line in _gpu_lines(report["machine"]):
        _say(line, console)
    print_origin(dict(report), console)
    # A Markdown box of rich has lines of blanks around it.
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _say(text: str, console: Console) -> None:
    console.print(Text(text))


def _line(check: Mapping[str, Any]) -> str:
    return f"- {check['name']}: **{check['verdict']}**: {check['said']}"


def _memory_line(checks: Sequence[Mapping[str, Any]]) -> str:
    """Say what was held while the subject drew alone, as far as it is known."""
    known = [check["facts"].get("memory") for check in checks]
    memory: Mapping[str, float] = next((each for each in known if each), {})
    told = ", ".join(
        f"{name.removesuffix('_mib').replace('_', ' ')} {mib:g} MiB" for name, mib in memory.items()
    )
    return f"- memory while it drew: {told or 'not known'}"


def _gpu_lines(machine: Mapping[str, Any]) -> Iterator[str]:
    if machine["gpu"]:
        yield "GPU: {gpu}, sm {sm}, {gpu_memory_gib} GiB, driver {driver}, CUDA {cuda}".format(
            **machine
        )


def _table(networks: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=MARKDOWN)
    for heading in (*_HEADINGS, *_FIGURES):
        is_number = heading not in ("network", "precision", "computes in", "finite", "")
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for each in networks:
        table.add_row(*map(Text, _cells(each)))
    return table


def _cells(each: Mapping[str, Any]) -> Iterator[str]:
    yield from (each["role"], str(each["batch"]), each["precision"], each["computes_in"] or "")
    yield "" if each["build_seconds"] is None else f"{each['build_seconds']:.1f}"
    for size in (each["size_bytes"], each["weight_bytes"]):
        yield "" if size is None else megabytes(size)
    yield decibels(each["snr_db"], digits=1)
    yield f"{each['required_db']:g}"
    yield "" if each["max_abs"] is None else f"{each['max_abs']:.2g}"
    yield {True: "yes", False: "no", None: ""}[each["is_finite"]]
    yield "bad" if each["failure"] else "good"
