"""`--json [PATH]`: "-" prints, anything else is a file that is written."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from streamgen.errors import ConfigError


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--json [PATH]`."""
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="PATH",
        help="print it as JSON, or write it to PATH (.json)",
    )


def check_report(place: str | None) -> None:
    """Raise ConfigError for a place that cannot be a report, before any work is done."""
    if place is None or place == "-":
        return
    path = Path(place)
    if path.suffix != ".json":
        raise ConfigError(
            f"--json {place!r}: give a path that ends in .json; a model's name goes before --json"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"--json {place!r}: there is no folder {str(path.parent)!r}")


def save_report(content: object, place: str) -> None:
    """Print the content as JSON or write it; ConfigError where it cannot be written."""
    text = json.dumps(content, indent=2)
    if place == "-":
        print(text)
        return
    try:
        Path(place).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--json {place!r} cannot be written: {error.strerror}") from error
