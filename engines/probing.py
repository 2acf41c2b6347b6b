"""What every backend says of a device, whether it runs there or not."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engines.cache import cache_root
from engines.proof import proof_of
from engines.protocol import Availability, QuantisingBackend
from engines.registry import TABLE, BackendRow, backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What a backend said. auto: whether "auto" may take it on this device.

    reason, hint: why it does not run and what mends it, "" where it runs; the same for what it
    could quantise, by precision, in `quantised`. precisions: with those, the one that "auto" means
    first.
    proof: of one that "auto" takes on this device only once it has passed here; None of others.
    """

    name: str
    ok: bool
    auto: bool
    precisions: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    hint: str = ""
    quantised: Mapping[str, Availability] = field(default_factory=dict)
    proof: Availability | None = None


def probe(
    device: str, table: Sequence[BackendRow] = TABLE, *, root: Path | None = None
) -> tuple[Probed, ...]:
    """Ask every backend, in the order of "auto"; never raises.

    root: of the cache, where proofs lie; None: that of the environment.
    """
    kept = root or cache_root(os.environ)
    return tuple(_probed(row, device, table, root=kept) for row in table)


def auto_of(probed: Sequence[Probed]) -> str | None:
    """Return the backend that "auto" takes, None where none runs."""
    return next((each.name for each in probed if each.ok and each.auto), None)


def _probed(row: BackendRow, device: str, table: Sequence[BackendRow], *, root: Path) -> Probed:
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
    quantised = asked.quantises(device) if isinstance(asked, QuantisingBackend) else {}
    able = [precision for precision, told in quantised.items() if told.ok]
    tools = {name: of for told in quantised.values() for name, of in told.versions.items()}
    proof = proof_of(root, asked, device) if auto and row.needs_proof else None
    return Probed(
        name=row.name,
        ok=True,
        auto=auto and (proof is None or proof.ok),
        precisions=(*asked.precisions(device), *able),
        versions={**found.versions, **tools},
        quantised=quantised,
        proof=proof,
    )
