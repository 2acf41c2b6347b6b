"""What every backend says of a device, whether it runs there or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engines.protocol import Availability, EngineBackend, QuantisingBackend
from engines.registry import TABLE, BackendRow, backend
from engines.spec import INT8


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a backend said. auto: whether "auto" may take it on this device.

    reason, hint: why it does not run and what mends it, "" where it runs; the same for int8 alone,
    where it could do that, in `int8`. precisions: with int8, the one that "auto" means first.
    """

    name: str
    ok: bool
    auto: bool
    precisions: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    hint: str = ""
    int8: Availability | None = None


def probe(device: str, table: Sequence[BackendRow] = TABLE) -> tuple[Probed, ...]:
    """Ask every backend, in the order of "auto"; never raises."""
    return tuple(_probed(row, device, table) for row in table)


def auto_of(probed: Sequence[Probed]) -> str | None:
    """Return the backend that "auto" takes, None where none runs."""
    return next((each.name for each in probed if each.ok and each.auto), None)


def _probed(row: BackendRow, device: str, table: Sequence[BackendRow]) -> Probed:
    auto = bool({device.partition(":")[0], "*"} & set(row.auto_devices))
    try:
        asked = backend(row.name, table=table)
    except ImportError as error:  # what cannot even be imported does not run
        package = str(error.name).partition(".")[0]
        hint = "install streamgen again" if package == "engines" else f"pip install {package}"
        return Probed(name=row.name, ok=False, auto=auto, reason=str(error), hint=hint)
    found = asked.probe(device)
    if not found.ok:
        return Probed(
            name=row.name,
            ok=False,
            auto=auto,
            versions=dict(found.versions),
            reason=found.reason,
            hint=found.hint,
        )
    int8 = _int8(asked, device)
    return Probed(
        name=row.name,
        ok=True,
        auto=auto,
        precisions=(*asked.precisions(device), *([INT8] if int8 and int8.ok else [])),
        versions={**found.versions, **(int8.versions if int8 else {})},
        int8=int8,
    )


def _int8(asked: EngineBackend, device: str) -> Availability | None:
    return asked.int8(device) if isinstance(asked, QuantisingBackend) else None
