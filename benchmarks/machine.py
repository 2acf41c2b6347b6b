"""What a result was measured on and with, and who else was at work; no host name, no paths."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import streamgen

#: Share of the machine's processors that others may use before a result counts as disturbed.
BUSY_SHARE = 0.15
_LISTEN_S = 0.5
_PACKAGES = ("torch", "openvino", "diffusers", "av", "numpy")
_FLAGS = ("avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "amx_tile")
_STAT = Path("/proc/stat")
_CPUINFO = Path("/proc/cpuinfo")
_ROOT = Path(streamgen.__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Seconds of processor time since boot: all there was, all that was used, and by us."""

    total_s: float
    used_s: float
    own_s: float

    def others_since(self, before: Load) -> float:
        """Return the share of the machine that other processes used since `before`, 0 to 1."""
        total = self.total_s - before.total_s
        others = (self.used_s - before.used_s) - (self.own_s - before.own_s)
        return min(1.0, max(0.0, others / total)) if total > 0 else 0.0


def read_load() -> Load | None:
    """Read the processor times of now; None where the system does not tell (not Linux)."""
    try:
        first = _STAT.read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return None
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    # user nice system idle iowait irq softirq steal; guests are counted in user and nice.
    times = [int(ticks) / ticks_per_s for ticks in first.split()[1:9]]
    own = os.times()
    return Load(
        total_s=sum(times),
        used_s=sum(times) - times[3] - times[4],
        own_s=own.user + own.system,
    )


def others_share(before: Load | None) -> float | None:
    """Return the share of the machine that others used since `before`, None if nobody tells."""
    now = read_load()
    return None if before is None or now is None else round(now.others_since(before), 3)


def listen(seconds: float = _LISTEN_S) -> float | None:
    """Return the share of the machine that others use now, while we wait."""
    before = read_load()
    time.sleep(seconds)
    return others_share(before)


def machine_facts(device: str) -> dict[str, object]:
    """Describe the machine. device: where the networks run, as "cpu" or "cuda:1"."""
    return {
        "cpu": _cpu_name(),
        "cores": _cores(),
        "flags": _flags(),
        "memory_gib": _memory_gib(),
        "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "os": f"{_system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def has_bf16(device: str) -> bool:
    """Tell whether a device computes in bf16 itself. device: as "cpu" or "cuda:1"."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    return any("bf16" in flag for flag in _flags())


def load_average() -> list[float] | None:
    """Return the load averages of 1, 5 and 15 minutes; None on systems without (Windows)."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None


def load_facts(before: float | None, during: float | None) -> dict[str, object]:
    """Say what others used of the machine, before and during a measurement, and if it matters.

    busy: None where the system does not tell.
    """
    shares = [share for share in (before, during) if share is not None]
    return {
        "others_share_before": before,
        "others_share_during": during,
        "busy": max(shares) > BUSY_SHARE if shares else None,
    }


def others_words(machine: Mapping[str, Any]) -> str:
    """Return in words what `load_facts` says of others."""
    before, during = machine["others_share_before"], machine["others_share_during"]
    return (
        f"other processes used {_percent(before)} of it before and {_percent(during)} during the"
        " measurement"
    )


def _percent(share: float | None) -> str:
    return "an unknown share" if share is None else f"{100 * share:.0f} %"


def versions() -> dict[str, object]:
    """Return versions of what takes part, and the commit if this is a git checkout."""
    found: dict[str, object] = {"streamgen": streamgen.__version__}
    found.update({name: _version(name) for name in _PACKAGES})
    return found | commit_facts(_ROOT)


def commit_facts(root: Path) -> dict[str, object]:
    """Return the commit of a checkout, and whether its files are others than the commit's."""
    nothing: Mapping[str, object] = {"commit": None, "dirty": None}
    if not (root / ".git").exists():
        return dict(nothing)
    # A new result makes no checkout dirty.
    files = ("--", ".", ":(exclude)benchmarks/results")
    commit, changes = (_git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", *files))
    if commit is None or changes is None:
        return dict(nothing)
    return {"commit": commit, "dirty": bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpuinfo(field: str) -> str | None:
    """Return the first value of a field of /proc/cpuinfo."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == field), None)


def _system() -> str:
    """Name the system without its kernel, whose name may be that of a machine."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):  # not on macOS and Windows
        return f"{platform.system()} {platform.mac_ver()[0] or platform.version()}"


def _cpu_name() -> str | None:
    return _cpuinfo("model name") or platform.processor() or None


def _flags() -> list[str]:
    present = (_cpuinfo("flags") or "").split()
    return [flag for flag in _FLAGS if flag in present]


def _cores() -> int:
    """Count the processors that we may use, which a container may hold to less than there are."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        total_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None
    return round(total_bytes / 2**30, 1)
