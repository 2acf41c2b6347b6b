"""`streamgen bench`: measures the whole frame path on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.clip import SAMPLE, read_clip
from benchmarks.frame_path import FramePath, Plan, measure
from benchmarks.machine import (
    listen,
    load_average,
    load_facts,
    machine_facts,
    others_share,
    read_load,
    versions,
)
from benchmarks.report import check_writable, make_report, print_report, write_json
from streamgen.cli.effects import check_effects
from streamgen.cli.options import add_engine_options, check_threads, controls_of, stream_config
from streamgen.cli.parser import whole_number
from streamgen.controls import MAX_STEPS, Controls
from streamgen.metrics import WINDOW
from streamgen.models.engines import Engines, load_engines
from streamgen.models.registry import find_model
from streamgen.sources import Size, parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_engine_options(parser)
    work = parser.add_argument_group("work")
    work.add_argument(
        "--size",
        type=parse_size,
        default=Size(256, 256),
        metavar="WxH",
        help="256 by default; or 448x256",
    )
    work.add_argument(
        "--steps", type=whole_number(1, MAX_STEPS), default=1, metavar="N", help="1 by default"
    )
    work.add_argument("--guidance-scale", type=float, metavar="N", help="1 by default: no negative")
    work.add_argument(
        "--clip",
        type=Path,
        default=SAMPLE,
        metavar="FILE",
        help="a video file; by default the one that ships",
    )
    much = parser.add_argument_group("how much")
    # More laps than that are not kept for the percentiles.
    count = whole_number(1, WINDOW)
    much.add_argument(
        "--frames", type=count, default=300, metavar="N", help="of a run, 300 by default"
    )
    much.add_argument(
        "--runs", type=count, default=3, metavar="N", help="3 by default; the median counts"
    )
    much.add_argument(
        "--warmup", type=count, default=30, metavar="N", help="frames before that, 30 by default"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the result there, too")


def execute(args: argparse.Namespace) -> int:
    """Measure, print the table, write the JSON."""
    if args.json is not None:
        check_writable(args.json)
    controls = _checked_controls(args)
    plan = Plan(frames=args.frames, runs=args.runs, warmup=args.warmup)
    clip = read_clip(args.clip, limit=max(plan.frames, plan.warmup))
    averages, share_before = load_average(), listen()
    engines = _load(args)
    paths = {
        way: FramePath(engines, controls.model_copy(update={"denoising": way}), clip=clip)
        for way in _ways(controls)
    }
    load = read_load()
    runs = measure(paths, plan)
    loads = {"load_average": averages, **load_facts(share_before, others_share(load))}
    report = make_report(
        runs,
        config=_config(args, engines, controls),
        machine=machine_facts(str(engines.device)) | loads,
        versions=versions(),
    )
    print_report(report)
    if args.json is not None:
        write_json(report, args.json)
    return 0


def _checked_controls(args: argparse.Namespace) -> Controls:
    row = find_model(args.model)
    row.check_size(args.size.width, args.size.height)
    given: dict[str, object] = {"steps": args.steps}
    # Guidance costs a second pass: it takes part only where somebody asks for it.
    given["guidance_scale"] = 1.0 if args.guidance_scale is None else args.guidance_scale
    controls = controls_of(row, given)
    asked = given if args.guidance_scale is not None else {"steps": args.steps}
    check_effects(asked, controls)
    check_threads(args)
    return controls


def _ways(controls: Controls) -> tuple[str, ...]:
    """Return the ways of denoising that differ: with one step there is one."""
    return ("stream", "sequential") if len(controls.indices) > 1 else (controls.denoising,)


def _load(args: argparse.Namespace) -> Engines:
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    return load_engines(stream_config(args, args.size))


def _config(args: argparse.Namespace, engines: Engines, controls: Controls) -> Mapping[str, object]:
    """Return what was asked for, and what "auto" came to; names, not paths."""
    return {
        "model": engines.model.row.name,
        "size": str(args.size),
        "steps": len(controls.indices),
        "backend": engines.choice.backend.name,
        "precision": engines.described_precision,
        "precisions": {role: engines.precision_of(role) for role in engines.modules},
        "int8_gate": asdict(engines.gate) if engines.gate else None,
        "device": engines.choice.device,
        "rejected": dict(engines.choice.rejected),
        "guidance": controls.guidance if controls.is_guided else "none",
        "guidance_scale": controls.guidance_scale,
        "threads": args.threads,
        "clip": args.clip.name,
    }
