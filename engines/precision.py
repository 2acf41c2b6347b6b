"""Which precision a network computes in: what was asked for against what the device can do."""

from __future__ import annotations

from engines.errors import EngineError
from engines.protocol import EngineBackend, QuantisingBackend
from engines.spec import INT8, PRECISIONS

AUTO = "auto"


def resolve(precision: str, backend: EngineBackend, device: str) -> str:
    """Return the precision of the networks; "auto" is the backend's first choice for the device.

    For "int8" that is the precision of those that are not quantised, which is what "auto" means.
    """
    if precision not in (AUTO, *PRECISIONS):
        raise EngineError(f"precision {precision!r}: choose {', '.join((AUTO, *PRECISIONS))}")
    if precision == INT8:
        check_int8(backend, device)
        precision = AUTO
    possible = backend.precisions(device)
    if precision == AUTO:
        return possible[0]
    if precision not in possible:
        raise EngineError(
            f"precision {precision!r}: {backend.name} on {device} can do {', '.join(possible)}"
        )
    return precision


def check_int8(backend: EngineBackend, device: str) -> QuantisingBackend:
    """Return the backend as one that can build for int8; EngineError says why it cannot."""
    if not isinstance(backend, QuantisingBackend):
        raise EngineError(f"precision 'int8': {backend.name} cannot do it: use openvino on a cpu")
    found = backend.int8(device)
    if not found.ok:
        raise EngineError(f"precision 'int8': {found.reason}: {found.hint}")
    return backend
