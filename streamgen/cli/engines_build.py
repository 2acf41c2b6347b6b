"""`streamgen engines build`: builds the networks of a model into the cache, in other processes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engines.cache import CacheEntry
from streamgen.cli.engines_board import Board
from streamgen.cli.engines_list import answer_snr_db, decibels, megabytes
from streamgen.cli.engines_networks import (
    Network,
    engines_of,
    networks_of,
    open_model,
    store_of,
)
from streamgen.cli.interruption import Interruption
from streamgen.cli.json_report import check_report, save_report
from streamgen.models.engines import Engines


def execute(args: argparse.Namespace) -> int:
    """Build what is missing, one after the other; Ctrl-C ends it and leaves nothing half-built."""
    check_report(args.json)
    model = open_model(args)
    engines = engines_of(model, args, backend=args.backend, precision=args.precision)
    networks = networks_of(engines, args.batch)
    with Interruption():
        entries = build(engines, networks)
        if engines.is_quantised:
            engines.prepare(1)  # finds out whether its pictures are good enough, and keeps that
    rows = [_row(network, entry) for network, entry in zip(networks, entries, strict=True)]
    backend = engines.choice.backend.name
    if args.json:
        gate = None if engines.gate is None else engines.gate.mean_db
        found = {"backend": backend, "device": engines.choice.device, "int8_gate_db": gate}
        save_report({**found, "networks": rows}, args.json)
        return 0
    title = f"{args.model} {args.size} with {engines.choice}"
    _print_rows(title, rows, Console(highlight=False))
    if not any(entries):
        print(f"{backend} runs networks as they are: there is nothing to build")
    if engines.gate is not None:
        print(f"int8 autoencoder: pictures {engines.gate.mean_db:g} dB from fp32, good enough")
    return 0


def build(engines: Engines, networks: Sequence[Network]) -> list[CacheEntry | None]:
    """Have the networks in the cache; None for each where the backend keeps nothing."""
    entries = []
    with Board([network.title for network in networks]) as board:
        store = store_of(engines, tell=board.tell)
        for network in networks:
            board.begin(network.title)
            entry = store.build(
                network.spec,
                network.module,
                limits=network.limits,
                calibration=network.calibration,
            )
            entries.append(entry)
    return entries


def _row(network: Network, entry: CacheEntry | None) -> dict[str, object]:
    row: dict[str, object] = {
        "role": network.role,
        "batch": network.batch,
        "precision": network.spec.precision,
        "built": entry is not None and entry.built,
    }
    if entry is not None:
        kept = {"key": entry.key, "size_bytes": entry.size_bytes, "info": dict(entry.info)}
        row |= kept | {"snr_db": answer_snr_db(entry.info)}
    return row


def _print_rows(title: str, rows: Sequence[dict[str, object]], console: Console) -> None:
    console.print(Text(title))
    table = Table("network", "precision")
    for heading in ("batch", "MB", "dB", "seconds"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*map(Text, _cells(row)))
    console.print(table)


def _cells(row: dict[str, object]) -> tuple[str, ...]:
    fixed = (str(row["role"]), str(row["precision"]), str(row["batch"]))
    if "key" not in row:
        return (*fixed, "", "", "")
    info, snr_db = row["info"], row["snr_db"]
    seconds = info.get("build_seconds") if isinstance(info, dict) else None
    took = f"{seconds:.1f}" if row["built"] and isinstance(seconds, float) else "was there"
    size = megabytes(float(str(row["size_bytes"])))
    return (*fixed, size, decibels(snr_db if isinstance(snr_db, float) else None), took)
