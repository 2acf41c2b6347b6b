"""Options that commands share: controls, made from their schema, and what engines are made for."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping

from engines.registry import AUTO, TABLE
from streamgen.cli.lora_options import (
    METAVAR,
    add_folders_option,
    as_control,
    read_lora_choice,
    wants_loras,
)
from streamgen.cli.motion_options import add_motion_options
from streamgen.cli.parser import whole_number
from streamgen.config import StreamConfig
from streamgen.control_schema import ControlSpec, controls_from, schema
from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.models.registry import ModelRow
from streamgen.sources import Size, SizeRule, default_size

MAX_THREADS = 1024


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declare what the networks are made for, but for their size."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", default="tiny", metavar="NAME", help="name, diffusers folder or hub id"
    )
    names = [row.name for row in TABLE]
    group.add_argument(
        "--backend", default=AUTO, metavar="NAME", help=f"{AUTO}, {', '.join(names)}"
    )
    group.add_argument("--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1, …")
    group.add_argument(
        "--precision",
        default="auto",
        metavar="NAME",
        help="fp32, bf16, fp16; int8: the autoencoder only; fp8: the denoiser only",
    )
    group.add_argument(
        "--threads",
        type=whole_number(1, MAX_THREADS),
        metavar="N",
        help="for the networks on a CPU; the backend chooses by itself",
    )
    add_motion_options(group)


def check_threads(args: argparse.Namespace) -> None:
    """Raise ConfigError for a number of threads on a device that has no use for it."""
    from streamgen.models.engines import find_device  # takes torch and diffusers with it

    device = find_device(args.device)
    if args.threads is not None and not device.startswith("cpu"):
        raise ConfigError(f"--threads {args.threads} has no effect on {device}: add --device cpu")


def stream_config(args: argparse.Namespace, size: Size) -> StreamConfig:
    """Return what the networks are made for: the engine options, and the size to draw."""
    return StreamConfig(
        model=args.model,
        width=size.width,
        height=size.height,
        backend=args.backend,
        precision=args.precision,
        device=args.device,
        threads=args.threads,
        swaps_weights=wants_loras(args),
        motion=args.motion,
        motion_window=args.motion_window,
        motion_sinks=args.motion_sinks,
        motion_memory_mb=args.motion_memory,
    )


def add_control_options(parser: argparse.ArgumentParser) -> None:
    """Declare a flag for every control; one that is not given is not in the result."""
    group = parser.add_argument_group("controls")
    for spec in schema():
        group.add_argument(
            flag(spec.name),
            dest=spec.name,
            default=argparse.SUPPRESS,
            help=_help(spec).replace("%", "%%"),
            action="append" if spec.kind in _REPEATED else "store",
            type=_READ.get(spec.kind, str),
            metavar=_metavar(spec),
        )
    add_folders_option(group, "that --lora takes by name")


def given_controls(args: argparse.Namespace) -> dict[str, object]:
    """Return the controls that were given, as they were written."""
    given = {spec.name: vars(args)[spec.name] for spec in schema() if spec.name in vars(args)}
    return given | ({"loras": as_control(given["loras"])} if "loras" in given else {})


def controls_of(row: ModelRow, given: Mapping[str, object]) -> Controls:
    """Return a model's defaults with what was given in their place."""
    return controls_from(given, defaults=row.controls)


def flag(control: str) -> str:
    """Return the option of a control: negative_prompt is --negative-prompt."""
    name = {"prompts": "prompt", "loras": "lora"}.get(control, control)
    return "--" + name.replace("_", "-")


def size_rule(row: ModelRow) -> SizeRule:
    """Return the rule that gives a picture of any size the best one for a model."""

    def rule(upright: Size) -> Size:
        best = default_size(upright.width, upright.height, area=row.area_px, multiple=row.multiple)
        low = math.ceil(row.smallest_px / row.multiple) * row.multiple
        high = row.largest_px // row.multiple * row.multiple
        return Size(min(max(best.width, low), high), min(max(best.height, low), high))

    return rule


def read_prompt(text: str) -> dict[str, object]:
    """Read TEXT or TEXT::WEIGHT."""
    sentence, separator, number = text.rpartition("::")
    if not separator:
        return {"text": text}
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not 0 <= weight <= 10:
        raise ConfigError(
            f"prompt {text!r}: write TEXT, or TEXT::WEIGHT with a weight from 0 to 10"
        )
    return {"text": sentence, "weight": weight}


def read_seeds(text: str) -> list[object]:
    """Read NUMBER or NUMBER::WEIGHT, several with commas between."""
    seeds: list[object] = []
    for part in text.split(","):
        number, separator, weight = part.partition("::")
        seeds.append({"number": number, "weight": weight} if separator else number)
    return seeds


#: Kinds whose option is given once for each.
_REPEATED = ("prompts", "loras")
_READ: Mapping[str, Callable[[str], object]] = {
    "prompts": read_prompt,
    "loras": read_lora_choice,
    "seeds": read_seeds,
    "integers": lambda text: text.split(","),
}


def _metavar(spec: ControlSpec) -> str:
    if spec.choices:
        return "{" + ",".join(spec.choices) + "}"
    return {
        "prompts": "TEXT[::WEIGHT]",
        "loras": METAVAR,
        "integers": "N,N",
        "seeds": "N::WEIGHT,N",
        "text": "TEXT",
    }.get(spec.kind, "N")


def _help(spec: ControlSpec) -> str:
    if spec.kind in ("number", "integer"):
        low, high, default = (_digits(v) for v in (spec.minimum, spec.maximum, spec.default))
        return f"{spec.help} {low} to {high}, {default} by default."
    return f"{spec.help} By default {spec.default}." if spec.choices else spec.help


def _digits(number: float | None) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)
