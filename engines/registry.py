"""The table of backends and the choice among them; a backend is imported when it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from engines.errors import BackendUnavailable
from engines.protocol import BackendOptions, EngineBackend

logger = logging.getLogger(__name__)

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRow:
    """One backend: where its class is, and the devices that "auto" picks it for ("*": any)."""

    name: str
    module: str
    factory: str
    auto_devices: tuple[str, ...]


TABLE: tuple[BackendRow, ...] = (
    BackendRow(
        name="openvino",
        module="engines.backends.openvino",
        factory="OpenVinoBackend",
        auto_devices=("cpu",),
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
) -> Choice:
    """Return the named backend, or for "auto" the first that runs on the device.

    device: "cpu", "cuda", "cuda:1", ... Raises BackendUnavailable, with what would mend it.
    """
    kind = device.split(":")[0]
    explicit = name != AUTO
    rows = [row for row in table if explicit or {kind, "*"} & set(row.auto_devices)]
    names = [name] if explicit else [row.name for row in rows]
    rejected: list[tuple[str, str]] = []
    for candidate in names:
        made = backend(candidate, options=options, table=table)
        found = made.probe(device)
        if found.ok:
            choice = Choice(backend=made, device=device, rejected=tuple(rejected))
            logger.log(logging.WARNING if rejected else logging.INFO, "engines: %s", choice)
            return choice
        rejected.append((candidate, f"{found.reason}; {found.hint}"))
    reasons = "; ".join(f"backend {name!r} on {device}: {why}" for name, why in rejected)
    raise BackendUnavailable(reasons or f"no backend for device {device!r}")
