"""`--motion` and what goes with it: which motion adapter draws, and what it may remember."""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING

from streamgen.cli.parser import whole_number
from streamgen.config import AUTO, MOTION_MEMORY_MB, NO_MOTION
from streamgen.errors import ConfigError
from streamgen.models.registry import ModelRow, find_model, with_motion
from streamgen.motion.table import AdapterRow, find_adapter

if TYPE_CHECKING:
    from streamgen.models.engines import Engines

MAX_WINDOW = 1024
MAX_MEMORY_MB = 1_000_000


def add_adapter_option(group: argparse._ActionsContainer, *, auto: str) -> None:
    """Declare `--motion`; auto: in words, which adapter that takes."""
    group.add_argument(
        "--motion",
        default=AUTO,
        metavar="NAME",
        help="motion adapter: a name, a folder or a hub id (see streamgen models --motion),"
        f" {NO_MOTION}, or {AUTO}: {auto}",
    )


def add_motion_options(group: argparse._ActionsContainer) -> None:
    """Declare what the motion of a stream is made of."""
    add_adapter_option(group, auto="that of the model, mostly none")
    add = group.add_argument
    add(
        "--motion-window",
        type=whole_number(2, MAX_WINDOW),
        metavar="N",
        help="frames that motion is seen over; what the adapter was made for by default",
    )
    add(
        "--motion-sinks",
        type=whole_number(0, MAX_WINDOW),
        metavar="N",
        help="of these, the first ones of the stream, which are kept",
    )
    add(
        "--motion-memory",
        type=whole_number(1, MAX_MEMORY_MB),
        metavar="MIB",
        help="what the frames seen may take, of all streams together; "
        f"{MOTION_MEMORY_MB} by default",
    )


def asked_model(args: argparse.Namespace) -> ModelRow:
    """Return the row of the model that the options name, with the motion adapter they name."""
    return with_motion(find_model(args.model), args.motion)


def asked_adapter(args: argparse.Namespace) -> AdapterRow | None:
    """Return the row of the adapter that will draw; ModelError for one that is not known."""
    row = asked_model(args)
    return find_adapter(row.motion) if row.has_motion else None


def check_motion(args: argparse.Namespace) -> None:
    """Raise, before anything is loaded, for an unknown adapter, or what has no effect without."""
    if asked_adapter(args) is not None:
        return
    for name in ("motion_window", "motion_sinks", "motion_memory"):
        if (value := vars(args)[name]) is not None:
            _refuse(name, value)
    strength = vars(args).get("motion_strength", "0")  # not every command has controls
    with suppress(ValueError):  # what is no number is refused as a control
        if float(strength) > 0:
            _refuse("motion_strength", strength)


def motion_notes(engines: Engines) -> list[str]:
    """Say what motion was drawn with."""
    return [] if engines.motion_memory is None else [str(engines.motion_memory)]


def _refuse(name: str, value: object) -> None:
    raise ConfigError(
        f"--{name.replace('_', '-')} {value} has no effect without a motion adapter:"
        " add --motion NAME"
    )
