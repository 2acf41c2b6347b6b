"""`streamgen models --motion`: lists the motion adapters; loads no weights."""

from __future__ import annotations

import argparse
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from streamgen.cli.json_report import save_report
from streamgen.errors import ConfigError
from streamgen.models.hub import has_weights
from streamgen.motion.table import TABLE, AdapterRow

_CONFIG = "config.json"
_COLUMNS = ("name", "files", "where")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--motion", action="store_true", help="the motion adapters that --motion takes by name"
    )


def show_adapters(args: argparse.Namespace, *, report: str | None) -> int:
    """Print the table; report: see `json_report`."""
    for other in (args.name, args.show, args.evaluate):
        if other is not None:
            raise ConfigError(f"--motion and {other!r}: leave one of them out")
    rows = [facts_of(row) for row in TABLE]
    if report:
        save_report(rows, report)
        return 0
    widths = [max(len(row[column]) for row in rows) for column in _COLUMNS]
    for row in rows:
        cells = (row[column].ljust(width) for column, width in zip(_COLUMNS, widths, strict=True))
        print("  ".join(cells).rstrip())
        print(f"{'':{widths[0]}}  {row['about']}")
    print("Licences: see their own cards. A MotionAdapter's folder or hub id will do, too.")
    return 0


def facts_of(row: AdapterRow) -> dict[str, str]:
    """Return what is known of an adapter, and whether its files are on this machine."""
    missing = "fetched at the first use" if row.is_on_hub else "no"
    return {
        "name": row.name,
        "where": str(row.location) if row.is_on_hub else "in the package",
        "about": row.about,
        "licence": row.licence,
        "files": "here" if is_here(row) else missing,
    }


def is_here(row: AdapterRow) -> bool:
    """Whether an adapter can be loaded without asking a hub."""
    if isinstance(row.location, Path):
        config: Path = row.location / _CONFIG
    else:
        cached = try_to_load_from_cache(row.location, _CONFIG)
        config = Path(cached if isinstance(cached, str) else "")
    return config.is_file() and has_weights(config.parent)
