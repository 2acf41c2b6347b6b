"""`streamgen loras PLACE…`: what LoRA files hold, and whether they fit a model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamgen.cli import EXIT_USER
from streamgen.cli.json_report import add_json_option, check_report, save_report
from streamgen.config import NO_MOTION
from streamgen.errors import ConfigError, ModelError
from streamgen.lora.header import Header, read_header
from streamgen.lora.shelf import Shelf
from streamgen.models.registry import find_model
from streamgen.motion.table import adapter_folder, find_adapter

if TYPE_CHECKING:
    from streamgen.lora.fit import Networks

_TITLES: Mapping[str, str] = {
    "unet": "UNet",
    "text_encoder": "text",
    "text_encoder_2": "second text",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was found out about one file.

    layers: of each network. ranks: smallest first. says: what is wrong, empty where nothing is.
    """

    name: str
    file: str
    state: str
    says: str = ""
    layers: Mapping[str, int] | None = None
    ranks: tuple[int, ...] = ()
    size_bytes: int | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "places", nargs="+", type=Path, metavar="PLACE", help="folder, or file .safetensors"
    )
    parser.add_argument(
        "--model", metavar="NAME", help="tell whether they fit it: name, diffusers folder, hub id"
    )
    parser.add_argument(
        "--motion", metavar="NAME", help="and this motion adapter: name, folder or hub id"
    )
    add_json_option(parser)


def execute(args: argparse.Namespace) -> int:
    """Print a table; return 0, or 2 where a file cannot be used."""
    check_report(args.json)
    if args.motion is not None and args.model is None:
        raise ConfigError(f"--motion {args.motion}: add --model, which the adapter is for")
    shelf = Shelf(args.places)
    shelf.check()
    files = [(name, path) for name, paths in shelf.files().items() for path in paths]
    if not files:
        raise ConfigError(f"'{args.places[0]}': there is no .safetensors file: name another place")
    networks = None if args.model is None else _networks(args.model, args.motion)
    found = [look(name, path, networks) for name, path in files]
    if args.json:
        save_report([asdict(each) for each in found], args.json)
    else:
        _print(found, args.model)
    return EXIT_USER if any(each.says for each in found) else 0


def look(name: str, path: Path, networks: Networks | None) -> Looked:
    """Read a file whole, and fit it to the networks where there are any."""
    from streamgen.lora.read import read_lora  # takes torch with it
    from streamgen.motion.loras import fitted_with_motion

    state, header = "broken", None
    try:
        header = read_header(path)
        lora = read_lora(path)
        state = "sound"
        if networks is not None:
            state = "does not fit"
            fitted_with_motion(lora, networks)
            state = "fits"
    except ModelError as error:
        says = str(error).removeprefix(f"LoRA {name!r}").removeprefix(": ").strip()
        return _looked(name, path, state, header, says=says)
    return _looked(name, path, state, header)


def _looked(name: str, path: Path, state: str, header: Header | None, *, says: str = "") -> Looked:
    if header is None:
        return Looked(name=name, file=str(path), state=state, says=says)
    return Looked(
        name=name,
        file=str(path),
        state=state,
        says=says,
        layers={str(network): count for network, count in header.layers.items()},
        ranks=header.ranks,
        size_bytes=header.size_bytes,
    )


def _networks(name: str, motion: str | None) -> Networks:
    from streamgen.models.loading import load_model
    from streamgen.models.reading import networks_of
    from streamgen.motion.adapter import read_adapter
    from streamgen.motion.unet import MotionUnet

    model = load_model(find_model(name))
    if motion is None or motion == NO_MOTION:
        return networks_of(model)
    row = find_adapter(motion)
    adapter = read_adapter(adapter_folder(row), row.name)
    return networks_of(model, MotionUnet(model.unet, adapter, shares=True).unet)


def _print(found: list[Looked], model: str | None) -> None:
    table = Table("LoRA", "layers", "rank", "MB", "")
    for each in found:
        layers = ", ".join(
            f"{_TITLES[name]} {count}" for name, count in (each.layers or {}).items()
        )
        size = "" if each.size_bytes is None else f"{each.size_bytes / 1e6:.1f}"
        state = f"{each.state} {model}" if model and each.state != "broken" else each.state
        table.add_row(*map(Text, (each.name, layers, _span(each.ranks), size, state)))
    Console(highlight=False).print(table)
    for each in found:
        if each.says:
            print(f"{each.name}: {each.says}")


def _span(ranks: tuple[int, ...]) -> str:
    return "-".join(dict.fromkeys((str(ranks[0]), str(ranks[-1])))) if ranks else ""
