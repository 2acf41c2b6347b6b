"""`streamgen bench`: measures the whole frame path on this machine, or the way through a server."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product

from benchmarks.clip import Clip, read_clip
from benchmarks.diffusers_side import diffusers_rival
from benchmarks.energy import Metering, find_meter, joules_per_frame
from benchmarks.frame_path import FramePath, Plan, Run, measure
from benchmarks.machine import (
    listen,
    load_average,
    load_facts,
    machine_facts,
    others_share,
    read_load,
    versions,
)
from benchmarks.many_streams import ManyStreams, measure_streams, streams_facts
from benchmarks.plot import check_plot, draw_plot
from benchmarks.quality import quality_facts
from benchmarks.report import Report, check_writable, make_report, print_report, write_json
from benchmarks.rivals import Match, Rival, why_no_ratio
from benchmarks.streamdiffusion_side import check_model, find_package, streamdiffusion_rival
from benchmarks.sweep import Case, joined, print_sweep
from streamgen.cli.bench_backends import check_backends_options, compare_backends
from streamgen.cli.bench_gpu import measure_gpu
from streamgen.cli.bench_options import add_bench_options
from streamgen.cli.bench_webrtc import check_suite_options, measure_served
from streamgen.cli.effects import check_effects
from streamgen.cli.motion_options import asked_model, check_motion
from streamgen.cli.options import check_threads, controls_of, stream_config
from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.models.engines import Engines, load_engines
from streamgen.rows import Revision
from streamgen.threads import use_threads


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_bench_options(parser)


def execute(args: argparse.Namespace) -> int:
    """Measure every combination, print the table, write JSON and plot."""
    defaults = _defaults()
    if args.suite == "webrtc":
        return measure_served(args, defaults)
    if args.suite == "gpu":
        return measure_gpu(args, defaults)
    check_suite_options(args, defaults)
    check_backends_options(args, defaults)
    cases = _checked_cases(args)
    clip = read_clip(args.clip, limit=max(args.frames, args.warmup))
    if args.compare_backends:
        return compare_backends(args, cases[0], clip)
    report = joined([_measure(args, case, clip) for case in cases])
    if len(cases) == 1:
        print_report(report)
    else:
        print_sweep(report)
    if args.json is not None:
        write_json(report, args.json)
    if args.plot is not None:
        draw_plot(report, args.plot)
    return 0


def _defaults() -> argparse.Namespace:
    """Return every option as it is where nobody gives it."""
    parser = argparse.ArgumentParser()
    add_bench_options(parser)
    return parser.parse_args([])


def _checked_cases(args: argparse.Namespace) -> list[Case]:
    """Return what is to be measured; what cannot be is told before anything is."""
    if args.json is not None:
        check_writable(args.json)
    if args.plot is not None:
        check_plot(args.plot)
    row = asked_model(args)
    for size in args.size:
        row.check_size(size.width, size.height)
    controls = [_checked_controls(args, steps) for steps in args.steps]
    if args.compare and any(each.is_guided for each in controls):
        raise ConfigError("--compare is made with guidance off: leave out --guidance-scale")
    if "streamdiffusion" in args.compare:
        find_package()
    check_threads(args)
    check_motion(args)
    return [Case(size=size, controls=each) for size, each in product(args.size, controls)]


def _checked_controls(args: argparse.Namespace, steps: int) -> Controls:
    asked: dict[str, object] = {"steps": steps}
    for name in ("guidance", "guidance_scale"):
        if getattr(args, name) is not None:
            asked[name] = getattr(args, name)
    # Guidance costs a second pass: it takes part only where somebody asks for it.
    controls = controls_of(asked_model(args), {"guidance_scale": 1.0} | asked)
    check_effects(asked, controls)
    return controls


def _measure(args: argparse.Namespace, case: Case, clip: Clip) -> Report:
    """Measure one combination on engines of its own."""
    plan = Plan(frames=args.frames, runs=args.runs, warmup=args.warmup)
    averages, share_before = load_average(), listen()
    engines = _load(args, case)
    metering = find_meter(str(engines.device))
    paths = {
        way: FramePath(
            engines,
            case.controls.model_copy(update={"denoising": way}),
            clip=clip,
            meter=metering.meter,
        )
        for way in _ways(case.controls)
    }
    revision = next(iter(paths.values())).stream.revision
    rivals = _rivals(args.compare, engines, revision)
    matches = [Match(rival, clip=clip, size=case.size, plan=plan) for rival in rivals]
    load = read_load()
    runs = _measure_in_turns(paths, plan, matches)
    groups = [ManyStreams(engines, case.controls, clip=clip, count=count) for count in args.streams]
    streams = streams_facts(measure_streams(groups, plan))
    loads = {"load_average": averages, **load_facts(share_before, others_share(load))}
    report = make_report(
        runs,
        config=_config(args, engines, case),
        machine=machine_facts(str(engines.device)) | loads,
        versions=versions(),
    )
    reason = why_no_ratio(report["machine"])
    compare = {match.rival.name: match.facts(report["fps"], reason) for match in matches}
    energy = _energy(next(iter(runs.values())), metering, busy=report["machine"]["busy"])
    quality = _quality(args, engines, case)
    return report | energy | quality | {"streams": streams, "compare": compare}


def _measure_in_turns(
    paths: Mapping[str, FramePath], plan: Plan, matches: Sequence[Match]
) -> dict[str, list[Run]]:
    """Measure ours and the others' A B A B …, so that all meet the same load."""
    for match in matches:
        match.warm_up()
    turns = [match.take_turn for match in matches]
    return measure(paths, plan, after_turn=lambda: [turn() for turn in turns])


def _rivals(names: Sequence[str], engines: Engines, revision: Revision) -> list[Rival]:
    rivals = []
    for name in dict.fromkeys(names):
        if name == "diffusers":
            rivals.append(diffusers_rival(engines, revision))
        else:
            check_model(engines)
            rivals.append(streamdiffusion_rival(engines, revision, package=find_package()))
    return rivals


def _energy(runs: Sequence[Run], metering: Metering, *, busy: bool | None) -> Report:
    joules, source, reason = None, None, metering.reason
    if metering.meter is not None:
        source = metering.meter.source
        joules, reason = joules_per_frame(
            [run.joules for run in runs],
            sum(run.frames for run in runs),
            is_busy=busy,
            is_shared=metering.is_shared,
        )
    return {"energy_j_per_frame": joules, "energy": {"source": source, "reason": reason}}


def _quality(args: argparse.Namespace, engines: Engines, case: Case) -> Report:
    if not args.quality:
        return {}
    return {"quality": quality_facts(engines, case.controls, args.clip)}


def _ways(controls: Controls) -> tuple[str, ...]:
    """Return the ways of denoising that differ: with one step there is one."""
    return ("stream", "sequential") if len(controls.indices) > 1 else (controls.denoising,)


def _load(args: argparse.Namespace, case: Case) -> Engines:
    use_threads(args.threads)
    return load_engines(stream_config(args, case.size))


def _config(args: argparse.Namespace, engines: Engines, case: Case) -> Mapping[str, object]:
    """Return what was asked for, and what "auto" came to; names, not paths."""
    controls = case.controls
    return {
        "model": engines.model.row.name,
        "size": str(case.size),
        "steps": len(controls.indices),
        "backend": engines.choice.backend.name,
        "precision": engines.described_precision,
        "precisions": {role: engines.precision_of(role) for role in engines.modules},
        "motion": None if engines.motion_memory is None else asdict(engines.motion_memory),
        "int8_gate": asdict(engines.gate) if engines.gate else None,
        "device": engines.choice.device,
        "rejected": dict(engines.choice.rejected),
        "guidance": controls.guidance if controls.is_guided else "none",
        "guidance_scale": controls.guidance_scale,
        "threads": args.threads,
        "clip": args.clip.name,
    }
