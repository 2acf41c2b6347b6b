"""`--lora` and `--loras`: which LoRAs are put into the model, and where they are looked for."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamgen.controls import MAX_SCALE
from streamgen.errors import ConfigError
from streamgen.lora.shelf import SUFFIX, Shelf

METAVAR = "NAME|FILE[::SCALE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenLora:
    """One `--lora`; file: None where it was named."""

    name: str
    scale: float
    file: Path | None = None


def add_folders_option(group: argparse._ArgumentGroup, words: str) -> None:
    """Declare `--loras`; words: what the LoRAs there are for."""
    group.add_argument(
        "--loras",
        dest="lora_places",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help=f"of LoRAs ({SUFFIX}), {words}; may be repeated",
    )


def read_lora_choice(text: str) -> GivenLora:
    """Read NAME, NAME::SCALE, FILE or FILE::SCALE."""
    name, separator, number = text.rpartition("::")
    if not separator:
        name, number = text, "1"
    try:
        scale = float(number)
    except ValueError:
        scale = math.nan
    if not name or not -MAX_SCALE <= scale <= MAX_SCALE:
        raise ConfigError(
            f"lora {text!r}: write NAME, or NAME::SCALE with a scale from {-MAX_SCALE:g} to"
            f" {MAX_SCALE:g}"
        )
    file = Path(name).expanduser()
    if file.suffix.lower() == SUFFIX:
        return GivenLora(name=file.stem, scale=scale, file=file)
    if file.name != name:
        raise ConfigError(f"lora {text!r}: write a name, or a file that ends in {SUFFIX}")
    return GivenLora(name=name, scale=scale)


def as_control(given: Sequence[GivenLora]) -> list[dict[str, object]]:
    """Return what was given as the control `loras` takes it."""
    return [{"name": each.name, "scale": each.scale} for each in given]


def shelf_of(args: argparse.Namespace) -> Shelf:
    """Return where the LoRAs of a command are found: files first, then folders."""
    options = vars(args)  # not every command has both options
    given: Sequence[GivenLora] = options.get("loras", [])
    files = [each.file for each in given if each.file is not None]
    return Shelf((*files, *options.get("lora_places", [])))


def wants_loras(args: argparse.Namespace) -> bool:
    """Tell whether weights are to be exchanged."""
    return bool(vars(args).get("loras") or vars(args).get("lora_places"))


def check_loras(args: argparse.Namespace) -> None:
    """Raise ConfigError for a place or a name that is not there, before anything is loaded."""
    shelf = shelf_of(args)
    shelf.check()
    for each in vars(args).get("loras", []):
        shelf.path(each.name)
