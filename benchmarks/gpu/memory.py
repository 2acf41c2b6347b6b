"""What is held in memory, and whether that stays so over many frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu.peak import wait

_STATM = Path("/proc/self/statm")
SAMPLES = 20
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Bytes of now. allocated: by torch; device: by everybody on it; allocations: made so far.

    On a CPU, torch does not tell: allocated and reserved are what the process has in memory, and
    the others are None.
    """

    allocated: int
    reserved: int
    device: int | None
    allocations: int | None


def held(device: str) -> Held:
    """Look at what is held now."""
    if not device.startswith("cuda"):
        resident = _resident_bytes()
        return Held(allocated=resident, reserved=resident, device=None, allocations=None)
    wait(device)
    free, total = torch.cuda.mem_get_info(device)
    counts = torch.cuda.memory_stats(device)
    return Held(
        allocated=torch.cuda.memory_allocated(device),
        reserved=torch.cuda.memory_reserved(device),
        device=total - free,
        allocations=int(counts.get("allocation.all.allocated", 0)),
    )


def forget_peak(device: str) -> Held:
    """Give back what torch keeps for later, look for the peak anew, and return what is held."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    return held(device)


def memory_facts(device: str, before: Held, *, weight_bytes: int) -> dict[str, object]:
    """Return what is held since `forget_peak`, in MiB; on a CPU only the process's memory.

    peak_allocated: by torch, which does not count the weights of a compiled package. device: more
    than before on the whole device, with all that torch keeps for later; others count, too.
    """
    now = held(device)
    if now.device is None or before.device is None:
        found: dict[str, float] = {}
    else:
        found = {
            "peak_allocated_mib": _mib(torch.cuda.max_memory_allocated(device)),
            "reserved_mib": _mib(now.reserved),
            "device_mib": _mib(now.device - before.device),
        }
    return {"weights_mib": _mib(weight_bytes), "resident_mib": _mib(_resident_bytes()), **found}


def watched(frames: int, *, run: Callable[[int], None], device: str) -> list[Held]:
    """Run that many frames in equal parts and look before each and after the last.

    run: is given the number of frames of a part.
    """
    parts = min(SAMPLES, frames)
    looks = [held(device)]
    for part in range(parts):
        run(frames * (part + 1) // parts - frames * part // parts)
        looks.append(held(device))
    return looks


def stability_facts(looks: Sequence[Held], frames: int) -> Mapping[str, object]:
    """Say how much was held from part to part, and by how much it grew after the first one."""
    settled, last = looks[1], looks[-1]
    made = _grown(settled.allocations, last.allocations)
    later = frames - frames // (len(looks) - 1)
    return {
        "frames": frames,
        "allocated_mib": [_mib(each.allocated) for each in looks],
        "allocated_growth_bytes": last.allocated - settled.allocated,
        "reserved_growth_bytes": last.reserved - settled.reserved,
        "device_growth_bytes": _grown(settled.device, last.device),
        "allocations_per_frame": None if made is None or not later else round(made / later, 3),
    }


def _grown(before: int | None, now: int | None) -> int | None:
    return None if before is None or now is None else now - before


def _mib(count: int) -> float:
    return round(count / _MIB, 2)


def _resident_bytes() -> int:
    """Return what the process has in memory; 0 where the system does not tell (not Linux)."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
