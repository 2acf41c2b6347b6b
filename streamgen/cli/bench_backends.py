"""`streamgen bench --compare-backends`: the frame path with every backend that runs here."""

from __future__ import annotations

import argparse
from dataclasses import replace

from rich.console import Console

from benchmarks.backends import Contest, Variant, backends_facts, choose_variants
from benchmarks.backends_table import print_backends
from benchmarks.clip import Clip
from benchmarks.frame_path import Plan
from benchmarks.machine import machine_facts, versions
from benchmarks.report import write_json
from benchmarks.rivals import why_no_ratio
from benchmarks.sweep import Case
from engines.jobs import BuildApart
from engines.protocol import BackendOptions
from streamgen.cli.options import stream_config
from streamgen.errors import ConfigError
from streamgen.models.engines import Engines, engines_of, find_device
from streamgen.threads import use_threads

#: The options of the command that have a meaning here.
OPTIONS = (
    *("compare_backends", "backends", "model", "device", "threads", "size", "steps"),
    *("guidance", "guidance_scale", "frames", "runs", "warmup", "clip", "json"),
)


def check_backends_options(args: argparse.Namespace, defaults: argparse.Namespace) -> None:
    """Raise ConfigError for an option that does not go with --compare-backends."""
    if not args.compare_backends:
        if args.backends:
            raise ConfigError("--backends means nothing without --compare-backends")
        return
    given = [name for name, value in vars(defaults).items() if getattr(args, name) != value]
    wrong = [name for name in given if name not in OPTIONS]
    if wrong:
        option = f"--{wrong[0].replace('_', '-')}"
        raise ConfigError(f"{option} means nothing to --compare-backends: leave it out")
    for name, values in (("size", args.size), ("steps", args.steps)):
        if len(values) > 1:
            raise ConfigError(f"--{name}: --compare-backends takes one of them at a time")


def compare_backends(args: argparse.Namespace, case: Case, clip: Clip) -> int:
    """Measure all of them in turns, print the table, write JSON."""
    device = find_device(args.device)
    choice = choose_variants(args.backends, device=device)
    use_threads(args.threads)
    plan = Plan(frames=args.frames, runs=args.runs, warmup=args.warmup)
    contest = Contest(case.controls, clip=clip, plan=plan)
    config = stream_config(args, case.size)
    # What a build leaves behind in a process is no part of what is measured here.
    builder = BuildApart(options=BackendOptions(threads=args.threads))
    with Console(stderr=True, highlight=False).status("") as status:

        def load(variant: Variant) -> Engines:
            status.update(f"loads {variant.name}, which may have to be built first")
            mine = replace(config, backend=variant.backend, precision=variant.precision)
            engines = engines_of(mine, builder=builder)
            engines.prepare()
            return engines

        contest.load(choice, load)
        status.update("compares pictures")
        near = contest.compare()
        status.update("measures, in turns")
        runs, loads = contest.measure()
    machine = machine_facts(device) | loads
    reason, precisions = why_no_ratio(machine), contest.precisions()
    report = {
        **backends_facts(runs, near, precisions=precisions, auto=choice.auto, reason=reason),
        "absent": contest.absent,
        "config": _config(args, case, device) | {"clip": clip.name},
        "machine": machine,
        "versions": versions(),
    }
    print_backends(report)
    if args.json is not None:
        write_json(report, args.json)
    return 0


def _config(args: argparse.Namespace, case: Case, device: str) -> dict[str, object]:
    """Return what was asked for; names, not paths."""
    controls = case.controls
    return {
        "model": args.model,
        "size": str(case.size),
        "steps": len(controls.indices),
        "device": device,
        "guidance": controls.guidance if controls.is_guided else "none",
        "threads": args.threads,
        "frames": args.frames,
        "runs": args.runs,
        "warmup": args.warmup,
    }
