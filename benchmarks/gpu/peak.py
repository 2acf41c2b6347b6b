"""How fast a device can be at best: by its maker where we know it, else measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Dense bf16 and fp16 with sums in fp32, and memory, a second: what the makers' data sheets say.
#: The first name that is part of the device's own counts.
_KNOWN: Sequence[tuple[str, float, float]] = (
    ("H200", 989e12, 4.8e12),
    ("H100 PCIe", 756e12, 2.0e12),
    ("H100", 989e12, 3.35e12),
    ("A100-SXM4-80GB", 312e12, 2.04e12),
    ("A100", 312e12, 1.555e12),
    ("L40S", 362e12, 864e9),
    ("L4", 121e12, 300e9),
    ("RTX 4090", 165e12, 1.008e12),
    ("RTX 3090", 71e12, 936e9),
)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """flops, bytes: a second, what shares are told of; source: "data sheet" or "measured".

    measured_flops, measured_bytes: of a large matrix product and of a copy, here and now.
    """

    flops: float
    bytes: float
    source: str
    measured_flops: float
    measured_bytes: float


def find_peak(device: str, precision: str, *, name: str | None, side: int) -> Peak:
    """Return the peak of a device. name: as torch tells it; side: of the matrices to multiply."""
    flops, bytes_ = measured_flops(device, precision, side=side), measured_bytes(device, side=side)
    known = known_peak(name) if name is not None and precision in ("bf16", "fp16") else None
    return Peak(
        flops=known[0] if known else flops,
        bytes=known[1] if known else bytes_,
        source="data sheet" if known else "measured",
        measured_flops=flops,
        measured_bytes=bytes_,
    )


def known_peak(name: str) -> tuple[float, float] | None:
    """Return operations and bytes a second of a device by its name; None for another one."""
    return next(((flops, bytes_) for part, flops, bytes_ in _KNOWN if part in name), None)


def measured_flops(device: str, precision: str, *, side: int) -> float:
    """Return the operations a second of a product of square matrices."""
    left, right = (torch.randn(side, side, device=device).to(_DTYPES[precision]) for _ in range(2))
    out = torch.empty_like(left)
    return 2 * side**3 / _fastest_s(lambda: torch.mm(left, right, out=out), device)


def measured_bytes(device: str, *, side: int) -> float:
    """Return the bytes a second that a copy of a large tensor reads and writes."""
    source = torch.zeros(8 * side * side, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _fastest_s(lambda: target.copy_(source), device)


def _fastest_s(work: Callable[[], Tensor], device: str, *, turns: int = 5, inner: int = 5) -> float:
    """Return the seconds of one call, by the fastest of a few turns of several."""
    seconds = []
    for _ in range(turns + 1):
        wait(device)
        began = time.perf_counter()
        for _ in range(inner):
            work()
        wait(device)
        seconds.append((time.perf_counter() - began) / inner)
    return max(min(seconds[1:]), 1e-9)


def wait(device: str) -> None:
    """Wait until a device has done what it was given; a CPU has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def peak_facts(peak: Peak) -> Mapping[str, object]:
    """Return a peak as plain data, in tera-operations and gigabytes a second."""
    return {
        "tflops": round(peak.flops / 1e12, 2),
        "gb_per_s": round(peak.bytes / 1e9, 1),
        "source": peak.source,
        "measured_tflops": round(peak.measured_flops / 1e12, 2),
        "measured_gb_per_s": round(peak.measured_bytes / 1e9, 1),
    }
