"""`streamgen engines debug`: writes one network down, looks into it, and finds what goes wrong."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engines.debugging import Case, Inspected, inspect, write_case
from engines.debugging_runs import (
    ONNXRUNTIME,
    Comparison,
    Wrong,
    check_parts,
    command_for,
    compare_runs,
    save_answers,
)
from engines.registry import backend
from engines.verify import OutputReport
from streamgen.cli.engines_list import decibels
from streamgen.cli.engines_networks import engines_of, networks_of, open_model
from streamgen.cli.json_report import check_report, save_report
from streamgen.errors import ConfigError
from streamgen.models.accuracy import limits_of

_LOWEST = 8


def execute(args: argparse.Namespace) -> int:
    """Write the network, inspect it, run it here, and print what is wrong with it first."""
    check_report(args.json)
    check_parts()
    case = _case(args)
    save_answers(case)
    tensorrt = backend("tensorrt").probe("cuda")
    comparisons = compare_runs(case, tensorrt=tensorrt.ok)
    wrong = _first_wrong(case, comparisons, args.limit)
    command = command_for(case, wrong, least_db=limits_of(case.spec).min_snr_db)
    found = inspect(case.graph.path)
    if args.json:
        told = {"folder": str(case.folder), "inspected": asdict(found), "faults": case.faults}
        compared = [asdict(each) for each in comparisons]
        first = asdict(wrong) if wrong else None
        save_report(told | {"comparisons": compared, "wrong": first, "next": command}, args.json)
        return 0
    _print_graph(case, found)
    limit = f" (NaN, infinity, or below {wrong.least_db:g} dB)" if wrong else ""
    print("first wrong: " + (f"{wrong.name}, of {wrong.runner}{limit}" if wrong else "nothing"))
    console = Console(highlight=False)
    for comparison in comparisons:
        console.print(_table(comparison, wrong))
    if case.runnable != case.graph:
        print(f"{ONNXRUNTIME} has no bf16 on a CPU: it ran {case.runnable.path}, the same in fp32")
    if not tensorrt.ok:
        print(f"TensorRT did not run: {tensorrt.reason}:\n    {tensorrt.hint}")
    print("off by: the most that one value differs. To go on:")
    print(f"    {command}")
    return 0


def _case(args: argparse.Namespace) -> Case:
    # The modules of any backend are the same: these are what torch draws with, in fp32.
    args.backend, args.device, args.threads = "torch", "cpu", None
    engines = engines_of(open_model(args), args, backend="torch", precision="fp32")
    networks = {each.role: each for each in networks_of(engines, [1])}
    if args.role not in networks:
        raise ConfigError(f"--role {args.role!r}: choose {', '.join(networks)}")
    network, folder = networks[args.role], Path(args.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {args.out!r} cannot be made: {error.strerror}") from error
    spec = replace(network.spec, precision=args.precision)
    return write_case(spec, network.module, folder, layers=args.layers)


def _first_wrong(
    case: Case, comparisons: Sequence[Comparison], layers_db: float | None
) -> Wrong | None:
    """Return what is wrong with ONNX Runtime's, for TensorRT gets the same, else TensorRT's."""
    for comparison in comparisons:
        is_full = comparison.runner == ONNXRUNTIME and case.runnable != case.graph
        spec = replace(case.spec, precision="fp32") if is_full else case.spec
        limits = limits_of(spec)
        # Deep in a network that sees noise, little is left in halves but rounding (`limits_of`).
        usual_db = limits.min_snr_db if spec.precision == "fp32" else 0.0
        least_db = usual_db if layers_db is None else layers_db
        wrong = comparison.first_wrong(limits, layers_db=least_db)
        if wrong is not None:
            return wrong
    return None


def _print_graph(case: Case, found: Inspected) -> None:
    size = f"{found.size_bytes / 1e6:.1f} MB"
    print(f"{case.graph.path}: opset {found.opset}, {found.nodes} operators, {size}")
    for kind, operators in sorted(found.operators.items(), key=lambda row: -sum(row[1].values())):
        print(f"    {kind}: " + ", ".join(f"{name} {count}" for name, count in operators.items()))
    print(f"lint: {len(case.faults)} faults" if case.faults else "lint: nothing is wrong")
    for fault in case.faults:
        print(f"    {fault}")


def _table(comparison: Comparison, wrong: Wrong | None) -> Table:
    """Return what is wrong first, the layers that are furthest off, and all outputs."""
    count = len(comparison.layers)
    name = wrong.name if wrong and wrong.runner == comparison.runner else None
    lowest = sorted(comparison.layers, key=lambda each: (each.is_finite, each.snr_db))[:_LOWEST]
    first = [each for each in comparison.layers if each.name == name]
    rest = [each for each in comparison.layers if each in lowest and each.name != name]
    title = f"{comparison.runner} against {comparison.reference}"
    table = Table()
    table.add_column(title + (f", {count} layers" if count else ""), overflow="fold")
    for heading in ("dB", "off by"):
        table.add_column(heading, justify="right")
    for each in (*first, *rest, *comparison.outputs):
        table.add_row(*map(Text, _cells(each)))
    return table


def _cells(found: OutputReport) -> tuple[str, str, str]:
    if not found.is_finite:
        return found.name, "NaN or infinity", ""
    return found.name, decibels(found.snr_db, digits=1), f"{found.max_abs:.3g}"
