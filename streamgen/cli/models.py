"""`streamgen models`: lists the models, or says what the configs of one tell; loads no weights."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from streamgen.cli import evaluation, models_motion, models_show
from streamgen.cli.json_report import add_json_option, check_report, save_report
from streamgen.config import AUTO
from streamgen.errors import ModelError
from streamgen.models.hub import WEIGHTED, has_weights
from streamgen.models.registry import TABLE, ModelRow, find_model, with_motion


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="name, diffusers folder or hub id")
    add_json_option(parser)
    models_show.add_arguments(parser)
    models_motion.add_arguments(parser)
    evaluation.add_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the table, one model and its parts, what it understands, its scores, or adapters."""
    check_report(args.json)
    if args.motion:
        return models_motion.show_adapters(args, report=args.json)
    if args.show is not None:
        return models_show.show_model(args, report=args.json)
    if args.evaluate is not None:
        return evaluation.evaluate_model(args, report=args.json)
    if args.name is None:
        rows = [facts_of(row) for row in TABLE]
        save_report(rows, args.json) if args.json else _print_table(rows)
        return 0
    row = find_model(args.name)
    facts = facts_of(row) | parts_of(row)
    if args.json:
        save_report(facts, args.json)
        return 0
    for name, value in facts.items():
        print(f"{name + ':':<17} {_plain(value)}")
    return 0


def facts_of(row: ModelRow) -> dict[str, object]:
    """Return what the registry knows of a model, and whether its files are on this machine."""
    side = round(math.sqrt(row.area_px))
    return {
        "name": row.name,
        "where": "in the package" if row.name == "tiny" else str(row.location),
        "about": row.about,
        "licence": row.licence,
        "best size": f"{side}x{side}",
        "defaults": dict(with_motion(row, AUTO).controls),
        "motion": row.motion,
        "files": "here" if is_here(row) else "fetched at the first use" if row.is_on_hub else "no",
    }


def is_here(row: ModelRow) -> bool:
    """Whether a model can be loaded without asking a hub: it has its index and its weights."""
    indices = _index_files(row)
    folder, *tiny_vae = [path.parent for path in indices]
    if isinstance(row.tiny_vae, Path):
        tiny_vae = [row.tiny_vae]
    parts = [folder / part for part in WEIGHTED if part != "vae" or row.tiny_vae is None]
    return all(path.is_file() for path in indices) and all(map(has_weights, [*parts, *tiny_vae]))


def parts_of(row: ModelRow) -> dict[str, object]:
    """Return what a model's configs tell; raise ModelError for one that is not supported."""
    if row.is_on_hub and not is_here(row):
        return {}
    from streamgen.models.loading import KINDS  # takes torch and diffusers with it

    folder = _index_files(row)[0].parent
    index = _read(folder / "model_index.json")
    found = str(index.get("_class_name"))
    if found not in KINDS:
        raise ModelError(f"model {row.name!r} is a {found}: supported are {', '.join(KINDS)}")
    unet, scheduler = (
        _read(folder / "unet" / "config.json"),
        _read(folder / "scheduler" / "scheduler_config.json"),
    )
    return {
        "class": found,
        "kind": KINDS[found],
        "latent channels": unet.get("out_channels"),
        "text width": unet.get("cross_attention_dim"),
        "autoencoder": str(row.tiny_vae or index.get("vae", ["", "none"])[1]),
        "scheduler": scheduler.get("_class_name"),
        "prediction type": scheduler.get("prediction_type", "epsilon"),
    }


def _index_files(row: ModelRow) -> list[Path]:
    if not row.is_on_hub:
        return [Path(row.location) / "model_index.json"]
    wanted = [(str(row.location), "model_index.json")]
    wanted += [(row.tiny_vae, "config.json")] if isinstance(row.tiny_vae, str) else []
    cached = [try_to_load_from_cache(*each) for each in wanted]
    return [Path(path if isinstance(path, str) else "") for path in cached]


def _read(path: Path) -> Mapping[str, Any]:  # Any: whatever JSON holds
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        name = path.parent if path.name == "model_index.json" else path.parent.parent
        raise ModelError(
            f"model '{name}': there is no {path.name}: a model is a folder in diffusers layout"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"'{path}' cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"'{path}' holds a {type(content).__name__}, not a JSON object")
    return content


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)


def _print_table(rows: list[dict[str, object]]) -> None:
    columns = ("name", "best size", "files", "licence", "where")
    table = [columns, *(tuple(_plain(row[column]) for column in columns) for row in rows)]
    widths = [max(len(line[k]) for line in table) for k in range(len(columns))]
    for number, line in enumerate(table):
        print("  ".join(map(str.ljust, line, widths)).rstrip())
        if number:
            row = rows[number - 1]
            print(f"{'':{widths[0]}}  {row['about']}")
            print(f"{'':{widths[0]}}  defaults: {_plain(row['defaults']) or 'those of all models'}")
