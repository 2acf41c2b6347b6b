"""The table of backends and the choice among them; a backend is imported when it is asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from engines.cache import cache_root
from engines.errors import BackendUnavailable
from engines.proof import proof_of
from engines.protocol import BackendOptions, EngineBackend

logger = logging.getLogger(__name__)

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRow:
    """One backend: where its class is, and the devices that "auto" picks it for ("*": any).

    needs_proof: "auto" picks it only where it has passed `engines verify --report` (`proof.py`).
    """

    name: str
    module: str
    factory: str
    auto_devices: tuple[str, ...]
    needs_proof: bool = False


TABLE: tuple[BackendRow, ...] = (
    BackendRow(
        name="openvino",
        module="engines.backends.openvino",
        factory="OpenVinoBackend",
        auto_devices=("cpu",),
    ),
    BackendRow(
        name="tensorrt",
        module="engines.backends.tensorrt",
        factory="TensorRtBackend",
        auto_devices=("cuda",),
        needs_proof=True,
    ),
    BackendRow(
        name="inductor",
        module="engines.backends.inductor",
        factory="InductorBackend",
        auto_devices=("cuda",),
    ),
    BackendRow(
        name="onnxruntime",
        module="engines.backends.onnxruntime",
        factory="OnnxRuntimeBackend",
        auto_devices=(),
    ),
    BackendRow(
        name="torch",
        module="engines.backends.torch",
        factory="TorchBackend",
        auto_devices=("*",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The backend that was chosen for a device, and why those before it were not."""

    backend: EngineBackend
    device: str
    rejected: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        chosen = f"{self.backend.name} on {self.device}"
        if not self.rejected:
            return chosen
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.rejected)
        return f"{chosen} (not {reasons})"


def backend(
    name: str,
    *,
    options: BackendOptions | None = None,
    table: Sequence[BackendRow] = TABLE,
) -> EngineBackend:
    """Return a new backend object by name, whether it can run here or not."""
    for row in table:
        if row.name == name:
            factory = getattr(import_module(row.module), row.factory)
            made: EngineBackend = factory(options or BackendOptions())
            return made
    allowed = ", ".join(row.name for row in table)
    raise BackendUnavailable(f"backend {name!r}: choose {AUTO}, {allowed}")


def choose(
    name: str = AUTO,
    *,
    device: str,
    options: BackendOptions | None = None,
    table: Sequence[BackendRow] = TABLE,
    root: Path | None = None,
) -> Choice:
    """Return the named backend, or for "auto" the first that runs on the device.

    device: "cpu", "cuda", "cuda:1", ... root: of the cache, where proofs lie that "auto" asks for;
    None: that of the environment. Raises BackendUnavailable, with what would mend it.
    """
    if name != AUTO:
        return _named(name, device, options=options, table=table)
    kind = device.split(":")[0]
    rejected: list[tuple[str, str]] = []
    level = logging.INFO
    for row in (row for row in table if {kind, "*"} & set(row.auto_devices)):
        made = backend(row.name, options=options, table=table)
        found = made.probe(device)
        if row.needs_proof:
            if not found.ok:  # an extra that nobody has to have: no news on every start
                logger.debug("engines: no %s: %s; %s", row.name, found.reason, found.hint)
                continue
            found = proof_of(root or cache_root(os.environ), made, device)
        elif not found.ok:
            level = logging.WARNING
        if found.ok:
            choice = Choice(backend=made, device=device, rejected=tuple(rejected))
            logger.log(level, "engines: %s", choice)
            return choice
        rejected.append((row.name, f"{found.reason}; {found.hint}"))
    raise _unavailable(rejected, device)


def _named(
    name: str, device: str, *, options: BackendOptions | None, table: Sequence[BackendRow]
) -> Choice:
    """Return a backend that was asked for by name: it needs no proof."""
    made = backend(name, options=options, table=table)
    found = made.probe(device)
    if not found.ok:
        raise _unavailable([(name, f"{found.reason}; {found.hint}")], device)
    choice = Choice(backend=made, device=device)
    logger.info("engines: %s", choice)
    return choice


def _unavailable(rejected: Sequence[tuple[str, str]], device: str) -> BackendUnavailable:
    reasons = "; ".join(f"backend {name!r} on {device}: {why}" for name, why in rejected)
    return BackendUnavailable(reasons or f"no backend for device {device!r}")
