"""Options of `streamgen serve` for what draws: the model, its motion adapter, its LoRAs, seats."""

from __future__ import annotations

import argparse

from server.rules import MotionRules
from streamgen.cli.lora_options import add_folders_option
from streamgen.cli.motion_options import add_motion_options, check_motion
from streamgen.cli.parser import whole_number
from streamgen.sources import parse_size

MAX_SESSIONS = 64


def add_model_options(group: argparse._ArgumentGroup) -> None:
    """Declare the options."""
    add = group.add_argument
    add("--model", default="tiny", metavar="NAME", help="name, diffusers folder or hub id")
    add("--backend", default="auto", metavar="NAME", help="openvino or torch")
    add("--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1, …")
    add("--precision", default="auto", metavar="NAME", help="fp32, bf16, fp16; int8, fp8")
    add_motion_options(group)
    add_folders_option(group, "that visitors may put into the model")
    add("--size", type=parse_size, default="256", metavar="WxH", help="256 by default")
    add(
        "--max-sessions",
        type=whole_number(1, MAX_SESSIONS),
        default=4,
        metavar="N",
        help="visitors at a time, 4 by default; others wait",
    )


def motion_of(args: argparse.Namespace) -> MotionRules:
    """Return what the options of motion come to; raise for what cannot be."""
    check_motion(args)
    return MotionRules(
        adapter=args.motion,
        window=args.motion_window,
        sinks=args.motion_sinks,
        memory_mb=args.motion_memory,
    )
