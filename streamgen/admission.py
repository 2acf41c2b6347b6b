"""Whether one more stream fits: a preflight by number, memory and speed, before anything is loaded.

Pure functions on what is known; reads no clock, and the machine's memory only where told to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from streamgen.errors import Full

MIB = 2**20
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a worker takes on.

    max_streams: in all. min_fps: what each stream must still get, 0 lets it sink as low as it may.
    reserve_bytes: memory that stays free. idle_models: that stay loaded though nobody uses them,
    those used last.
    """

    max_streams: int = 64
    min_fps: float = 0.0
    reserve_bytes: int = 512 * MIB
    idle_models: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a worker carries now.

    streams: open ones. stream_ms: what one frame of the asked-for kind takes, None where nothing
    was measured yet. busy_ms: what one frame of every open stream takes together.
    needed_bytes: memory that the stream will need, 0 where its networks are loaded already.
    free_bytes: memory that is free, None where the system does not tell.
    """

    streams: int
    stream_ms: float | None
    busy_ms: float
    needed_bytes: int
    free_bytes: int | None


def check_room(load: Load, limits: Limits) -> None:
    """Raise Full, saying what is short, where one more stream does not fit."""
    if load.streams >= limits.max_streams:
        raise Full(f"{load.streams} streams are open, as many as are allowed: close one, or wait")
    if load.free_bytes is not None and load.needed_bytes > load.free_bytes - limits.reserve_bytes:
        raise Full(
            f"memory: this stream needs about {load.needed_bytes / MIB:.0f} MiB and"
            f" {max(load.free_bytes - limits.reserve_bytes, 0) / MIB:.0f} MiB are free:"
            " choose a smaller size or model, or close a stream"
        )
    if load.stream_ms is not None and limits.min_fps > 0:
        fps = 1000 / (load.busy_ms + load.stream_ms)
        if fps < limits.min_fps:
            raise Full(
                f"speed: with one more stream each would get {fps:.1f} frames a second, and"
                f" {limits.min_fps:g} are wanted: fewer steps, a smaller size, or wait"
            )


def free_bytes(device: torch.device, meminfo: Path = MEMINFO) -> int | None:
    """Return the memory that is free where the networks live; None where nothing tells."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
