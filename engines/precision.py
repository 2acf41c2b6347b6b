"""Which precision a network computes in: what was asked for against what the device can do."""

from __future__ import annotations

from engines.errors import EngineError
from engines.protocol import EngineBackend, QuantisingBackend
from engines.spec import FP8, INT8, PRECISIONS, QUANTISED

AUTO = "auto"
#: Who can do what is quantised.
_WHERE = {INT8: "openvino on a cpu, or tensorrt", FP8: "tensorrt on an NVIDIA GPU"}


def resolve(precision: str, backend: EngineBackend, device: str) -> str:
    """Return the precision of the networks; "auto" is the backend's first choice for the device.

    For what is quantised that is the precision of those that are not, as "auto" means it.
    """
    if precision not in (AUTO, *PRECISIONS):
        raise EngineError(f"precision {precision!r}: choose {', '.join((AUTO, *PRECISIONS))}")
    if precision in QUANTISED:
        check_quantised(precision, backend, device)
        precision = AUTO
    possible = backend.precisions(device)
    if precision == AUTO:
        return possible[0]
    if precision not in possible:
        raise EngineError(
            f"precision {precision!r}: {backend.name} on {device} can do {', '.join(possible)}"
        )
    return precision


def check_quantised(precision: str, backend: EngineBackend, device: str) -> None:
    """Raise EngineError where the backend cannot build for "int8" or "fp8", and say why."""
    told = backend.quantises(device) if isinstance(backend, QuantisingBackend) else {}
    if precision not in told:
        raise EngineError(
            f"precision {precision!r}: {backend.name} cannot do it: use {_WHERE[precision]}"
        )
    if not told[precision].ok:
        raise EngineError(
            f"precision {precision!r}: {told[precision].reason}: {told[precision].hint}"
        )
