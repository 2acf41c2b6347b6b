"""`streamgen engines verify`: compares the networks of a model with torch in fp32, on the CPU."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any  # what JSON holds

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.machine import machine_facts, versions
from benchmarks.report import print_origin
from engines.errors import EngineError
from engines.probing import probe
from engines.spec import INT8
from engines.store import NetworkStore
from engines.verify import Report, compare, sample_inputs
from streamgen.cli.engines_board import Board
from streamgen.cli.engines_list import decibels
from streamgen.cli.engines_networks import (
    Network,
    engines_of,
    networks_of,
    open_model,
    store_of,
)
from streamgen.cli.interruption import Interruption
from streamgen.cli.json_report import check_report, save_report
from streamgen.models.engines import Engines, find_device
from streamgen.models.quantised import MEAN_DB, QUANTISED

#: Others than the one that a new build is checked with.
SEEDS = (1, 2)
#: A report is pasted elsewhere: lines are not broken at the width of this terminal.
_WIDE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How far one network is from torch in fp32, in its worst output of all seeds.

    failure: why it cannot be used, "" where it can; then the figures may be missing.
    """

    backend: str
    role: str
    batch: int
    precision: str
    required_db: float
    snr_db: float | None = None
    max_abs: float | None = None
    failure: str = ""


def execute(args: argparse.Namespace) -> int:
    """Build what is missing, compare all of it, and print the figures.

    Raises EngineError, after they are printed, where a network cannot be used.
    """
    check_report(args.json)
    model = open_model(args)
    device = find_device(args.device)
    checked: list[Checked] = []
    told = versions()
    with Interruption():
        for backend, precision in wanted(args, device):
            engines = engines_of(model, args, backend=backend, precision=precision)
            told |= engines.choice.backend.probe(device).versions
            networks = networks_of(engines, args.batch)
            if precision == INT8 and args.all:  # the others were seen in their own precision
                networks = [each for each in networks if each.spec.role in QUANTISED]
            checked += check(engines, networks)
    report: dict[str, Any] = {
        "config": {"model": args.model, "size": str(args.size), "device": device},
        "networks": [asdict(each) for each in checked],
        "machine": machine_facts(device),
        "versions": told,
    }
    if args.json:
        save_report(report, args.json)
    elif args.report:
        _print_to_paste(report, checked)
    else:
        console = Console(highlight=False)
        console.print(Text(f"{args.model} {args.size} on {device}, against torch in fp32"))
        console.print(_table(checked, Table()))
        print("dB: of the worst output; off by: the most that one value differs")
    _raise_failures(checked)
    return 0


def wanted(args: argparse.Namespace, device: str) -> list[tuple[str, str]]:
    """Return the backends and precisions to compare."""
    if not args.all:
        return [(args.backend, args.precision)]
    probed = [each for each in probe(device) if each.ok]
    return [(each.name, precision) for each in probed for precision in each.precisions]


def check(engines: Engines, networks: Sequence[Network]) -> list[Checked]:
    """Compare the networks of one backend in one precision."""
    backend = engines.choice.backend.name
    titles = [f"{backend} {network.title}" for network in networks]
    with Board(titles) as board:
        store = store_of(engines, tell=board.tell)
        found = []
        for network, title in zip(networks, titles, strict=True):
            board.begin(title)
            found.append(_checked(store, network))
    return [*found, _gate(engines)] if engines.is_quantised else found


def _gate(engines: Engines) -> Checked:
    """Judge int8 by pictures: noise, which the networks were given above, flatters nobody."""
    mean_db, failure = None, ""
    try:
        engines.prepare(1)
        mean_db = engines.gate.mean_db if engines.gate else None
    except EngineError as error:
        failure = str(error)
    return Checked(
        backend=engines.choice.backend.name,
        role="pictures",
        batch=1,
        precision=INT8,
        required_db=MEAN_DB,
        snr_db=mean_db,
        failure=failure,
    )


def _checked(store: NetworkStore, network: Network) -> Checked:
    figures: dict[str, float | None] = {}
    failure = ""
    try:
        reports = list(_reports(store, network))
        outputs = [output for report in reports for output in report.outputs]
        figures = {
            "snr_db": round(min(output.snr_db for output in outputs), 2),
            "max_abs": max((out.max_abs for out in outputs if out.is_finite), default=None),
        }
        for report in reports:
            report.require(network.limits)
    except EngineError as error:
        failure = str(error)
    return Checked(
        backend=store.backend.name,
        role=network.spec.role,
        batch=network.batch,
        precision=network.spec.precision,
        required_db=network.limits.min_snr_db,
        failure=failure,
        **figures,
    )


def _reports(store: NetworkStore, network: Network) -> Iterator[Report]:
    compiled = store.compile(
        network.spec, network.module, limits=network.limits, calibration=network.calibration
    )
    try:
        for seed in SEEDS:
            inputs = sample_inputs(network.spec, seed=seed)
            yield compare(compiled, network.module.eval(), inputs=inputs, device=store.device)
    finally:
        compiled.close()


def _table(checked: Sequence[Checked], table: Table) -> Table:
    for heading in ("backend", "network"):
        table.add_column(heading, no_wrap=True)
    for heading in ("batch", "dB", "needed", "off by"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for each in checked:
        verdict = Text("bad", style="bold red") if each.failure else Text("good", style="green")
        table.add_row(*map(Text, _cells(each)), verdict)
    return table


def _cells(each: Checked) -> tuple[str, ...]:
    return (
        f"{each.backend} {each.precision}",
        each.role,
        str(each.batch),
        decibels(each.snr_db, digits=1),
        f"{each.required_db:g}",
        "" if each.max_abs is None else f"{each.max_abs:.2g}",
    )


def _print_to_paste(report: dict[str, Any], checked: Sequence[Checked]) -> None:
    console = Console(width=_WIDE, highlight=False, color_system=None)
    title = "{model} {size} on {device}, against torch in fp32".format(**report["config"])
    console.print(Text(f"`streamgen engines verify`: {title}"))
    console.print(_table(checked, Table(box=MARKDOWN)))
    print_origin(report, console)
    for each in checked:
        if each.failure:
            console.print(Text(each.failure))


def _raise_failures(checked: Sequence[Checked]) -> None:
    failures = [each.failure for each in checked if each.failure]
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise EngineError(failures[0] + more)
