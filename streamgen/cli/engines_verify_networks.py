"""Builds networks one by one and compares each with its module in torch, fp32, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any  # figures of several types

from engines.building import Builder
from engines.cache import CacheEntry
from engines.errors import EngineError
from engines.protocol import CompiledModule
from engines.spec import INT8
from engines.store import NetworkStore
from engines.verify import Limits, Report, compare, sample_inputs
from streamgen.cli.engines_board import Board
from streamgen.cli.engines_networks import Network
from streamgen.models.engines import Engines
from streamgen.models.quantised import MEAN_DB

#: Others than the one that a new build is checked with.
SEEDS = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How far one network is from torch in fp32, in its worst output of all seeds.

    required_db: of that output; the worst is the one nearest to what is required, or below it.
    failure: why it cannot be used, "" where it can; then the figures may be missing. built: whether
    it had to be built now. build_seconds: of then. Bytes are those that the network itself tells.
    """

    backend: str
    role: str
    batch: int
    precision: str
    required_db: float
    snr_db: float | None = None
    max_abs: float | None = None
    is_finite: bool | None = None
    computes_in: str | None = None
    built: bool = False
    build_seconds: float | None = None
    size_bytes: int | None = None
    weight_bytes: int | None = None
    scratch_bytes: int | None = None
    failure: str = ""


def check(engines: Engines, networks: Sequence[Network], builder: Builder) -> list[Checked]:
    """Build and compare the networks of one backend in one precision."""
    backend = engines.choice.backend.name
    titles = [f"{backend} {network.title}" for network in networks]
    with Board(titles) as board:
        store = NetworkStore(
            backend=engines.choice.backend,
            cache=engines.networks.cache,
            device=engines.choice.device,
            builder=builder,
            tell=board.tell,
        )
        found = []
        for network, title in zip(networks, titles, strict=True):
            board.begin(title)
            found.append(_checked(store, network))
    return [*found, _gate(engines)] if engines.is_quantised else found


def _gate(engines: Engines) -> Checked:
    """Judge int8 by pictures: noise, which the networks were given above, flatters nobody."""
    found = Checked(
        backend=engines.choice.backend.name,
        role="pictures",
        batch=1,
        precision=INT8,
        required_db=MEAN_DB,
    )
    try:
        engines.prepare(1)
    except EngineError as error:
        return replace(found, failure=str(error))
    return replace(found, snr_db=engines.gate.mean_db if engines.gate else None)


def _checked(store: NetworkStore, network: Network) -> Checked:
    found = Checked(
        backend=store.backend.name,
        role=network.role,
        batch=network.batch,
        precision=network.spec.precision,
        required_db=network.limits.min_snr_db,
    )
    terms: dict[str, Any] = {"limits": network.limits, "calibration": network.calibration}
    try:
        found = replace(found, **_built(store.build(network.spec, network.module, **terms)))
        compiled = store.compile(network.spec, network.module, **terms)
        try:
            found = replace(found, **_told(compiled))
            reports = list(_reports(store, network, compiled))
        finally:
            compiled.close()
        found = replace(found, **figures_of(reports, network.limits))
        for report in reports:
            report.require(network.limits)
    except EngineError as error:
        found = replace(found, failure=str(error))
    return found


def _built(entry: CacheEntry | None) -> dict[str, Any]:
    if entry is None:  # a backend that keeps nothing
        return {}
    seconds = entry.info.get("build_seconds")
    taken = seconds if isinstance(seconds, float) else None
    return {"built": entry.built, "build_seconds": taken, "size_bytes": entry.size_bytes}


def _told(compiled: CompiledModule) -> dict[str, Any]:
    memory = compiled.memory()
    held = {"weight_bytes": memory.weight_bytes, "scratch_bytes": memory.scratch_bytes}
    return {"computes_in": compiled.computes_in, **held}


def _reports(store: NetworkStore, network: Network, compiled: CompiledModule) -> Iterator[Report]:
    for seed in SEEDS:
        inputs = sample_inputs(network.spec, seed=seed)
        yield compare(compiled, network.module.eval(), inputs=inputs, device=store.device)


def figures_of(reports: Sequence[Report], limits: Limits) -> dict[str, Any]:
    """Return what `Checked` says of the outputs of some runs."""
    outputs = [output for report in reports for output in report.outputs]
    # What a network remembers is held to less than its answer.
    near = [
        (output.snr_db, limits.snr_db_of(place))
        for report in reports
        for place, output in enumerate(report.outputs)
    ]
    snr_db, required_db = min(near, key=lambda each: each[0] - each[1])
    return {
        "snr_db": round(snr_db, 2),
        "required_db": required_db,
        "max_abs": max((out.max_abs for out in outputs if out.is_finite), default=None),
        "is_finite": all(output.is_finite for output in outputs),
    }
