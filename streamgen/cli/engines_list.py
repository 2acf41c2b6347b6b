"""`streamgen engines list`: what is built, by the manifests in the cache; imports no torch."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any  # what JSON holds

from rich.console import Console
from rich.table import Table
from rich.text import Text

from engines.cache import CacheEntry, EngineCache, cache_root
from engines.errors import ArtifactError
from engines.manifest import MANIFEST, read_manifest
from engines.spec import EngineSpec, Side, TensorSpec
from streamgen.cli.json_report import check_report, save_report

#: What a network that computes exactly the same is told to have (`engines.verify`).
SNR_BOUND_DB = 999.0
#: Seconds of what a time is told in, the longest first.
_UNITS = {"d": 86400, "h": 3600, "min": 60, "s": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What is told of an entry of the cache.

    inputs: the shapes of the tensors that go in. snr_db: of the first output against torch
    in fp32, None where nobody compared. A gate, which is no network, has no backend and no inputs.
    """

    key: str
    role: str
    backend: str | None
    precision: str | None
    inputs: Mapping[str, str]
    size_bytes: int
    used_at: float
    snr_db: float | None
    info: Mapping[str, object]


def execute(args: argparse.Namespace) -> int:
    """Print the entries of the cache, the one used last on top."""
    check_report(args.json)
    cache = EngineCache(cache_root(os.environ))
    found = built_of(reversed(cache.entries()))
    if args.json:
        entries = [asdict(each) for each in found]
        save_report({"cache": str(cache.root), "entries": entries}, args.json)
        return 0
    print_built(found, now=time.time())
    if found:
        print("dB: how near to torch in fp32 when it was built; input: shape of the first")
    total = sum(each.size_bytes for each in found)
    room = megabytes(cache.max_bytes)
    # Not by rich: it would break a path, which people copy, at the terminal's width.
    print(f"{counted(found)}, {megabytes(total)} of {room} MB at most, in {cache.root}")
    return 0


def built_of(entries: Iterable[CacheEntry]) -> list[Built]:
    """Return what entries and their manifests tell; one that is gone by now is left out."""
    found = []
    for entry in entries:
        with suppress(ArtifactError, FileNotFoundError):
            found.append(_built(entry, read_manifest(entry.folder / MANIFEST)["facts"]))
    return found


def _built(entry: CacheEntry, facts: Mapping[str, Any]) -> Built:
    spec = EngineSpec.from_dict(facts["spec"]) if "spec" in facts else None
    return Built(
        key=entry.key,
        role=entry.role,
        backend=facts.get("backend"),
        precision=spec.precision if spec else None,
        inputs={each.name: _shape(each) for each in spec.inputs} if spec else {},
        size_bytes=entry.size_bytes,
        used_at=entry.used_at,
        snr_db=answer_snr_db(entry.info),
        info=dict(entry.info),
    )


def _shape(tensor: TensorSpec) -> str:
    return "x".join(map(_side, tensor.shape))


def _side(side: Side) -> str:
    if isinstance(side, int):
        return str(side)
    return f"({side.times * side.least}..{side.times * side.most})"


def answer_snr_db(info: Mapping[str, Any]) -> float | None:
    """Return the dB of a network's answer, as compared when it was built.

    What it remembers beside that is held to other limits, and much of it is rounding.
    """
    outputs = (info.get("verified") or {}).get("outputs", [])
    return next((output["snr_db"] for output in outputs), None)


def print_built(found: Sequence[Built], *, now: float) -> None:
    """Print entries as a table; nothing for none. now: in seconds since 1970."""
    if not found:
        return
    console = Console(highlight=False)
    table = Table()
    for heading in ("network", "backend"):
        table.add_column(heading, no_wrap=True)
    table.add_column("input")
    for heading in ("MB", "used", "dB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in found:
        cells = (
            each.role,
            " ".join(filter(None, (each.backend, each.precision))),
            next(iter(each.inputs.values()), ""),
            megabytes(each.size_bytes),
            ago(now - each.used_at),
            decibels(each.snr_db),
        )
        table.add_row(*map(Text, cells))
    console.print(table)


def decibels(number: float | None, *, digits: int = 0) -> str:
    """Return dB as they stand in a table: nothing for none, "equal" for what the bound holds."""
    if number is None:
        return ""
    return "equal" if number >= SNR_BOUND_DB else f"{number:.{digits}f}"


def counted(found: Sequence[object]) -> str:
    """Return how many there are, in words."""
    return "1 entry" if len(found) == 1 else f"{len(found)} entries"


def megabytes(count: float) -> str:
    """Return a number of bytes in MB, with a digit behind the point below 100."""
    number = count / 1e6
    return f"{number:.1f}" if 0 < number < 100 else f"{number:.0f}"


def ago(seconds: float) -> str:
    """Return a time that has passed in its largest unit: 3 d, 2 h, 5 min, 40 s."""
    for unit, length in _UNITS.items():
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return "now"
