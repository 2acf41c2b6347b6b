"""`streamgen train WHAT`: what can be trained here, and its options.

Imports nothing heavy: a module does each, imported when it is asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from streamgen.cli.parser import Parser, whole_number

STAGES = ("vae", "unet", "decoder", "package", "motion")


def add_arguments(parser: Parser) -> None:
    """Declare what can be trained, and the options of each."""
    actions = parser.add_subparsers(metavar="WHAT", dest="action", parser_class=Parser)
    for name, (about, declare) in _ACTIONS.items():
        declare(actions.add_parser(name, help=about, description=about, allow_abbrev=False))


def execute(args: argparse.Namespace) -> int:
    """Train what was asked for."""
    return int(import_module(f"streamgen.cli.train_{args.action}").execute(args))


def _add_tiny(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", choices=STAGES, required=True, help="what to train, or package")
    parser.add_argument(
        "--data", type=Path, help="folder of photos and clips; for all stages but package"
    )
    parser.add_argument("--out", type=Path, default=Path("training-runs/tiny"))
    parser.add_argument("--minutes", type=float, default=60.0, help="wall-clock time of this call")
    parser.add_argument("--pairs", type=int, default=6000, help="latent pairs held at once")
    parser.add_argument(
        "--model",
        default="tiny",
        metavar="NAME",
        help="for the stage motion: tiny, or the folder of a model made like it",
    )
    parser.add_argument(
        "--balance",
        type=weights_by_name,
        default={},
        metavar="NAME=N,…",
        help="for the stage motion: weights of what is learned, as texture=6,bending=4",
    )
    _add_common(parser, batch=16, rate=0.015)


def weights_by_name(text: str) -> dict[str, str]:
    """Read NAME=N, several with commas between; which names there are is not known here."""
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name and separator and number for name, separator, number in pairs):
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=N, several with commas between")
    return {name: number for name, _, number in pairs}


def _add_lora(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--drawn",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="pictures in the style, with the names and sizes of the photos they were drawn from",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="the photos; by default the folder `photos` beside the other",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the LoRA, NAME.safetensors"
    )
    parser.add_argument(
        "--model", default="tiny", metavar="NAME", help="tiny, or the folder of one made like it"
    )
    parser.add_argument(
        "--prompt", default="", metavar="TEXT", help="to be used with the LoRA; none by default"
    )
    parser.add_argument(
        "--rank", type=whole_number(1), default=8, metavar="N", help="how much it can hold: 8"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--minutes", type=float, default=4.0, metavar="N", help="wall-clock time of this call: 4"
    )
    length.add_argument(
        "--steps",
        type=whole_number(1),
        metavar="N",
        help="train until this step instead: the same seed gives the same file",
    )
    _add_common(parser, batch=8, rate=0.006)


def _add_common(parser: argparse.ArgumentParser, *, batch: int, rate: float) -> None:
    """Declare what all trainings have."""
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="side of the crops in pixels")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rate", type=float, default=rate, help="peak learning rate")


_ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "tiny": ("make the built-in model, a stage at a time", _add_tiny),
    "lora": ("teach the built-in model a style, by pairs of pictures", _add_lora),
}
