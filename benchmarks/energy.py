"""Joules that a processor or a GPU used while we worked, where the system tells them.

A processor's counters (RAPL) and a GPU's (NVML) count all that the chip used, idle power and the
work of others among it.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch

logger = logging.getLogger(__name__)

POWERCAP = Path("/sys/class/powercap")
_SAMPLE_MS = 100
_NUMBER = re.compile(r"\d+(\.\d+)?")


class Meter(Protocol):
    """Counts the joules between `start` and `stop`. source: what it reads, in a few words."""

    source: str

    def start(self) -> None: ...

    def stop(self) -> float | None:
        """Return the joules since `start`; None where nothing was told meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """The meter of a device, or the reason why there is none.

    is_shared: what other processes cause is in it as well.
    """

    meter: Meter | None = None
    reason: str | None = None
    is_shared: bool = False


class RaplMeter:
    """Adds up counters of microjoules; each begins again at 0 after its greatest value."""

    def __init__(self, zones: Sequence[Path]) -> None:
        self.zones = tuple(zones)
        names = ", ".join(_text(zone / "name") for zone in zones)
        self.source = f"RAPL ({names})"
        self.began_uj = self._read_uj()

    def start(self) -> None:
        self.began_uj = self._read_uj()

    def stop(self) -> float:
        now_uj = self._read_uj()
        ranges = [int(_text(zone / "max_energy_range_uj")) + 1 for zone in self.zones]
        used = zip(now_uj, self.began_uj, ranges, strict=True)
        return sum((now - began) % size for now, began, size in used) / 1e6

    def _read_uj(self) -> list[int]:
        return [int(_text(zone / "energy_uj")) for zone in self.zones]


class NvmlMeter:
    """Reads a GPU's own counter of millijoules by `pynvml`, which is handed in."""

    def __init__(self, nvml: Any, uuid: str) -> None:  # Any: pynvml is untyped
        nvml.nvmlInit()
        self.nvml = nvml
        self.handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        self.source = "NVML energy counter"
        self.began_mj = self._read_mj()

    def start(self) -> None:
        self.began_mj = self._read_mj()

    def stop(self) -> float:
        return (self._read_mj() - self.began_mj) / 1e3

    def _read_mj(self) -> int:
        return int(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle))


class PowerLog:
    """Mean watts that a program prints, one number a line, times the seconds that passed."""

    def __init__(
        self, command: Sequence[str], now_ns: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self.command = tuple(command)
        self.now_ns = now_ns
        self.source = "mean of nvidia-smi's power.draw"
        self.process: subprocess.Popen[str] | None = None
        self.first = ""
        self.began_ns = 0

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None, "asked for above"
        # Its start is no part of what is measured.
        self.first = self.process.stdout.readline()
        self.began_ns = self.now_ns()

    def stop(self) -> float | None:
        seconds = (self.now_ns() - self.began_ns) / 1e9
        if self.process is None:
            return None
        self.process.terminate()
        rest, _ = self.process.communicate()
        self.process = None
        watts = _numbers(self.first + rest)
        return sum(watts) / len(watts) * seconds if watts else None


def find_meter(device: str, *, root: Path = POWERCAP) -> Metering:
    """Return the meter of "cpu" or "cuda:0", or why there is none. root: of the RAPL tree."""
    return _gpu_meter(device) if device.startswith("cuda") else rapl_meter(root)


def rapl_meter(root: Path) -> Metering:
    """Return the meter of all processor packages and of the memory beside them."""
    # intel-rapl-mmio holds the same packages once more; AMD uses the name intel-rapl, too.
    zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if _counts(zone)]
    if not zones:
        return Metering(reason=f"{root} has no RAPL counters")
    try:
        return Metering(meter=RaplMeter(zones), is_shared=True)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return Metering(reason=f"the RAPL counters in {root} cannot be read ({why})")


def joules_per_frame(
    joules: Sequence[float | None], frames: int, *, is_busy: bool | None, is_shared: bool
) -> tuple[float | None, str | None]:
    """Return the joules of a frame, or None and the reason. is_shared: others' work is in them.

    joules: of each run. frames: of all runs together.
    """
    told = [each for each in joules if each is not None]
    if len(told) < len(joules) or not frames:
        return None, "the meter told nothing during a run: measure more frames"
    if is_busy and is_shared:
        return None, "the machine was busy: what others used is in the same counter"
    return round(sum(told) / frames, 4), None


def _counts(zone: Path) -> bool:
    """Whether a zone is to be added: a package holds its cores, its memory it does not hold."""
    try:
        name = _text(zone / "name")
    except OSError:
        return False
    return name.startswith("package") or name == "dram"


def _gpu_meter(device: str) -> Metering:
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    try:
        nvml = import_module("pynvml")
    except ImportError:
        return _power_log(uuid)
    try:
        return Metering(meter=NvmlMeter(nvml, uuid))
    except nvml.NVMLError as error:  # a GPU older than its energy counter
        logger.info("NVML has no energy counter here (%s): nvidia-smi is asked", error)
        return _power_log(uuid)


def _power_log(uuid: str) -> Metering:
    if shutil.which("nvidia-smi") is None:
        return Metering(reason="neither pynvml nor nvidia-smi is here to ask the GPU")
    query = ("--query-gpu=power.draw", "--format=csv,noheader,nounits", f"-lms={_SAMPLE_MS}")
    return Metering(meter=PowerLog(("nvidia-smi", f"--id={uuid}", *query)))


def _numbers(text: str) -> list[float]:
    """Return the whole lines that are numbers; others say [N/A], and the last may be cut."""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [float(line) for line in lines if _NUMBER.fullmatch(line.strip())]


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()
