"""`streamgen engines verify`: compares the networks of a model with torch in fp32, on the CPU.

With --report, it looks at all that a frame needs of a backend (`engines_verify_report`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any  # what JSON holds

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.clip import SAMPLE, read_clip
from benchmarks.frame_path import Plan
from benchmarks.machine import machine_facts, versions
from engines.cache import cache_root
from engines.errors import EngineError
from engines.jobs import BuildApart
from engines.probing import probe
from engines.proof import driver_version, gpu_facts
from engines.protocol import BackendOptions
from engines.spec import QUANTISED
from streamgen.cli.engines_list import decibels
from streamgen.cli.engines_networks import engines_of, networks_of, open_model
from streamgen.cli.engines_verify_checks import Check, Subject, hidden_places, without_places
from streamgen.cli.engines_verify_frames import Terms
from streamgen.cli.engines_verify_markdown import markdown_of
from streamgen.cli.engines_verify_networks import Checked, check
from streamgen.cli.engines_verify_report import (
    Examined,
    examine,
    raise_failures,
    settle,
)
from streamgen.cli.interruption import Interruption
from streamgen.cli.json_report import check_report, save_report
from streamgen.cli.options import controls_of
from streamgen.models.calibrating import quantised_roles
from streamgen.models.engines import find_device
from streamgen.threads import use_threads

MODEL = "tiny"
RUNS = 3
MOST_WARM_UPS = 10
#: No guidance, which is a second pass, and nothing of the frames before: the networks alone.
CONTROLS = {"guidance_scale": 1.0, "temporal_strength": 0.0}


def execute(args: argparse.Namespace) -> int:
    """Build what is missing, compare all of it, and print the figures.

    Raises EngineError, after they are printed, where something is not as it has to be.
    """
    check_report(args.json)
    args.model = args.model or [MODEL]
    device = find_device(args.device)
    if args.report:
        return _report(args, device)
    checked: list[Checked] = []
    told = versions()
    with Interruption():
        for subject in subjects(args, device):
            told |= subject.engines.choice.backend.probe(device).versions
            checked += check(subject.engines, subject.networks, subject.builder)
    report: dict[str, Any] = {
        "config": {"model": ", ".join(args.model), "size": str(args.size), "device": device},
        "networks": [asdict(each) for each in checked],
        "machine": machine_facts(device),
        "versions": told,
    }
    if args.json:
        save_report(report, args.json)
    else:
        console = Console(highlight=False)
        title = "{model} {size} on {device}, against torch in fp32".format(**report["config"])
        console.print(Text(title))
        console.print(_table(checked))
        print("dB: of the worst output; off by: the most that one value differs")
    _raise_failures(checked)
    return 0


def subjects(args: argparse.Namespace, device: str) -> Iterator[Subject]:
    """Iterate over what was asked for: models, each with backends in precisions."""
    builder = BuildApart(options=BackendOptions(threads=args.threads))
    for name in args.model:
        mine = argparse.Namespace(**{**vars(args), "model": name})
        model = open_model(mine)
        for backend, precision in wanted(args, device):
            engines = engines_of(model, mine, backend=backend, precision=precision)
            networks = networks_of(engines, args.batch)
            if precision in QUANTISED and args.all:  # the others were seen in their own precision
                roles = quantised_roles(precision)
                networks = [each for each in networks if each.role in roles]
            controls = controls_of(model.row, CONTROLS)
            yield Subject(engines=engines, networks=networks, controls=controls, builder=builder)


def wanted(args: argparse.Namespace, device: str) -> list[tuple[str, str]]:
    """Return the backends and precisions to compare."""
    if not args.all:
        return [(args.backend, args.precision)]
    probed = [each for each in probe(device) if each.ok]
    return [(each.name, precision) for each in probed for precision in each.precisions]


def _report(args: argparse.Namespace, device: str) -> int:
    use_threads(args.threads)
    plan = Plan(frames=args.frames, runs=RUNS, warmup=min(args.frames, MOST_WARM_UPS))
    terms = Terms(clip=read_clip(SAMPLE, limit=args.frames), plan=plan)
    told = versions()
    examined: list[Examined] = []
    with Interruption():
        for subject in subjects(args, device):
            told |= subject.engines.choice.backend.probe(device).versions
            examined.append(examine(subject, terms, tell=_tell))
        proofs = settle(examined)
    report = report_of(examined, proofs, device=device, versions=told)
    if args.json:
        save_report(report, args.json)
    if args.json != "-":
        print(markdown_of(report), end="")
    raise_failures(examined, proofs.values())
    return 0


def report_of(
    examined: Sequence[Examined],
    proofs: dict[str, Check],
    *,
    device: str,
    versions: dict[str, object],
) -> dict[str, Any]:
    """Return everything as plain data without a trace of folders and names of this machine."""
    verdicts = [check.verdict for each in examined for check in each.checks]
    verdicts += [check.verdict for check in proofs.values()]
    report = {
        "passed": "FAILED" not in verdicts,
        "subjects": [_named(each.told()) for each in examined],
        "proofs": {name: asdict(each) for name, each in proofs.items()},
        "machine": {**machine_facts(device), **_gpu(device)},
        "versions": versions,
    }
    hidden = hidden_places(cache_root(os.environ))
    plain = without_places(report, hidden=hidden)
    assert isinstance(plain, dict)  # as what went in
    return plain


def _named(told: dict[str, Any]) -> dict[str, Any]:
    """Return it with the name of a model's folder in place of its path."""
    place = Path(told["model"])
    return {**told, "model": place.resolve().name} if place.is_dir() else told


def _gpu(device: str) -> dict[str, object]:
    if not device.startswith("cuda"):
        return {}
    memory = torch.cuda.get_device_properties(device).total_memory
    return {
        "sm": gpu_facts(device)["sm"],
        "gpu_memory_gib": round(memory / 2**30, 1),
        "driver": driver_version() or "unknown",
        "cuda": torch.version.cuda,
    }


def _tell(title: str, found: Check) -> None:
    print(f"{title}, {found.name}: {found.verdict}", file=sys.stderr, flush=True)


def _table(checked: Sequence[Checked]) -> Table:
    table = Table()
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


def _raise_failures(checked: Sequence[Checked]) -> None:
    failures = [each.failure for each in checked if each.failure]
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise EngineError(failures[0] + more)
