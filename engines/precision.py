"""Which precision a network computes in: what was asked for against what the device can do."""

from __future__ import annotations

from engines.errors import EngineError
from engines.protocol import EngineBackend
from engines.spec import PRECISIONS

AUTO = "auto"


def resolve(precision: str, backend: EngineBackend, device: str) -> str:
    """Return "fp32", "bf16" or "fp16"; "auto" is the backend's first choice for the device."""
    if precision not in (AUTO, *PRECISIONS):
        raise EngineError(f"precision {precision!r}: choose {', '.join((AUTO, *PRECISIONS))}")
    possible = backend.precisions(device)
    if precision == AUTO:
        return possible[0]
    if precision not in possible:
        raise EngineError(
            f"precision {precision!r}: {backend.name} on {device} can do {', '.join(possible)}"
        )
    return precision
