"""`streamgen engines ACTION`: what there is to do with compiled networks, and its options.

Imports nothing heavy: a module does each action, imported when it is asked for.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from importlib import import_module

from engines.cache import MAX_BYTES
from streamgen.cli.json_report import add_json_option
from streamgen.cli.motion_options import add_motion_options
from streamgen.cli.options import add_engine_options
from streamgen.cli.parser import Parser, several, whole_number
from streamgen.sources import Size, parse_size

MAX_BATCH = 64
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMGT]?)(i?)B?)", re.IGNORECASE)


def add_arguments(parser: Parser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", parser_class=Parser)
    for name, (about, declare) in _ACTIONS.items():
        added = actions.add_parser(name, help=about, description=about, allow_abbrev=False)
        declare(added)
        add_json_option(added)


def execute(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    return int(import_module(f"streamgen.cli.engines_{args.action}").execute(args))


def read_bytes(text: str) -> int:
    """Read a number of bytes: 0, 500MB, 2GB, 1.5GiB."""
    found = _BYTES.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: write a size such as 500MB, 2GB or 0")
    number, unit, binary = found.groups()
    power = list(_UNITS).index((unit or "").upper())
    return int(float(number) * (1024 if binary else 1000) ** power)


def _add_networks(parser: argparse.ArgumentParser) -> None:
    """Declare which networks are meant."""
    add_engine_options(parser)
    group = parser.add_argument_group("shapes")
    group.add_argument(
        "--size", type=parse_size, default=Size(256, 256), metavar="WxH", help="256 by default"
    )
    group.add_argument(
        "--batch",
        type=several(whole_number(1, MAX_BATCH)),
        default=(1,),
        metavar="N,…",
        help="pictures at once: 1 by default; or 1,2,4",
    )


def _add_verify(parser: argparse.ArgumentParser) -> None:
    _add_networks(parser)
    # This one takes the place of the shared one.
    models = parser.add_argument_group("models", conflict_handler="resolve")
    models.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="name, diffusers folder or hub id; again for another; tiny by default",
    )
    parser.add_argument(
        "--all", action="store_true", help="every backend and precision that runs on the device"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="look at frames, graphs and LoRAs, too, print it to be pasted elsewhere, with machine"
        " and versions, and keep that it passed: some backends need it for auto",
    )
    parser.add_argument(
        "--frames",
        type=whole_number(1),
        default=100,
        metavar="N",
        help="with --report: of a run of the frame path; 100 by default",
    )


def _add_debug(parser: argparse.ArgumentParser) -> None:
    for name, default, about in (
        ("--model", "tiny", "name, diffusers folder or hub id"),
        ("--role", "unet", "which of its networks"),
        ("--out", "debug", "folder for its files; debug by default"),
    ):
        parser.add_argument(name, default=default, metavar=name[2:].upper(), help=about)
    parser.add_argument(
        "--size", type=parse_size, default=Size(256, 256), metavar="WxH", help="256 by default"
    )
    parser.add_argument("--precision", choices=("fp16", "bf16", "fp32"), default="fp16")
    add_motion_options(parser)
    parser.add_argument("--layers", action="store_true", help="compare layer by layer, too")
    parser.add_argument(
        "--limit",
        type=float,
        metavar="DB",
        help="a layer below it is wrong; by default 0 in halves, in fp32 as for outputs",
    )


def _add_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-size",
        type=read_bytes,
        default=MAX_BYTES,
        metavar="SIZE",
        help="what may stay, the longest unused goes first: 500MB, 2GB, 0;"
        f" {MAX_BYTES / 2**30:g}GiB by default",
    )


def _add_nothing(parser: argparse.ArgumentParser) -> None:
    """The action has no options of its own."""


_ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "probe": ("which backends run on this machine, and how to get the others", _add_nothing),
    "build": ("build the networks of a model, so that nobody waits for them later", _add_networks),
    "list": ("list what is built", _add_nothing),
    "verify": ("compare the networks of a model with torch in fp32", _add_verify),
    "debug": ("write a network down, and find what goes wrong in it first", _add_debug),
    "prune": ("delete built networks, the longest unused first", _add_prune),
}
