"""`streamgen engines probe`: which backends run here, and what makes the others run.

Needs torch and nothing else that backends need: whatever is missing, is what it tells.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.machine import machine_facts
from engines.probing import Probed, auto_of, probe
from engines.registry import AUTO, TABLE, BackendRow
from streamgen.cli.json_report import check_report, save_report

_GET_CUDA = {
    "linux": "pip install --force-reinstall torch",
    "win32": "open https://pytorch.org/get-started/locally and choose Windows, Pip and CUDA",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProbe:
    """All backends on one device. auto: the one that "auto" takes there."""

    device: str
    about: str
    auto: str | None
    backends: tuple[Probed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A kind of device that is not here, why not, and what might mend it."""

    device: str
    reason: str
    hint: str


def execute(args: argparse.Namespace) -> int:
    """Ask every backend about every device, and print the answers."""
    check_report(args.json)
    found = [probe_device(device) for device in devices()]
    absent = absent_devices()
    if args.json:
        told = {
            each.device: {
                "about": each.about,
                "auto": each.auto,
                "backends": {one.name: asdict(one) for one in each.backends},
            }
            for each in found
        }
        save_report({"devices": told, "absent": [asdict(each) for each in absent]}, args.json)
        return 0
    console = Console(highlight=False)
    for each in found:
        _print_device(each, console)
    for missing in absent:
        _print_missing(f"no {missing.device}", missing.reason, missing.hint, console)
    return 0


def devices() -> list[str]:
    """Return the devices of this machine as torch calls them, GPUs first."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = ["cuda"] if count == 1 else [f"cuda:{number}" for number in range(count)]
    return [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def absent_devices(platform: str = sys.platform) -> list[Absent]:
    """Tell why there is no NVIDIA GPU, where there could be one."""
    if torch.cuda.is_available() or platform not in _GET_CUDA:
        return []
    name = f"torch {torch.__version__}"
    if torch.version.cuda is None:
        reason = f"{name} is built without CUDA; if there is an NVIDIA GPU, get the build with it:"
        return [Absent(device="cuda", reason=reason, hint=_GET_CUDA[platform])]
    reason = f"{name}, built for CUDA {torch.version.cuda}, finds no GPU or no driver; look with:"
    return [Absent(device="cuda", reason=reason, hint="nvidia-smi")]


def probe_device(device: str, table: Sequence[BackendRow] = TABLE) -> DeviceProbe:
    """Ask every backend about one device."""
    probed = probe(device, table)
    return DeviceProbe(device=device, about=_about(device), auto=auto_of(probed), backends=probed)


def _about(device: str) -> str:
    facts = machine_facts(device)
    if device.startswith("cuda"):
        return str(facts["gpu"])
    flags = facts["flags"] if isinstance(facts["flags"], list) else []
    return ", ".join([str(facts["cpu"] or "unknown processor"), f"{facts['cores']} cores", *flags])


def _print_device(found: DeviceProbe, console: Console) -> None:
    console.print(Text(f"{found.device}: {found.about}", style="bold"))
    table = Table("backend", "runs", "precisions", "versions")
    for each in found.backends:
        name = f"{each.name} ({AUTO})" if each.name == found.auto else each.name
        # torch has a row of its own, and takes part in most of the others.
        others = {package: of for package, of in each.versions.items() if package != "torch"}
        versions = ", ".join(map(" ".join, (others or each.versions).items()))
        answer = Text("yes", style="green") if each.ok else Text("no", style="red")
        table.add_row(name, answer, ", ".join(each.precisions), versions)
    console.print(table)
    for each in found.backends:
        if each.ok and each.name == found.auto:
            taken = f"{each.name} in {each.precisions[0]}"
            console.print(f"{AUTO} takes {taken}; --backend names another")
    for each in found.backends:
        if each.proof is not None and not each.proof.ok:
            name = f"{AUTO} does not take {each.name}"
            _print_missing(name, each.proof.reason, each.proof.hint, console)
        if not each.ok:
            name = f"{each.name} does not run"
            _print_missing(name, each.reason, each.hint, console)
        for precision, told in each.quantised.items():
            if not told.ok:
                name = f"{each.name} has no {precision}"
                _print_missing(name, told.reason, told.hint, console)
    console.print()


def _print_missing(name: str, reason: str, hint: str, console: Console) -> None:
    console.print(Text(f"{name}: {reason}"))
    # Not by the console: it would break a command, which people copy, at the terminal's width.
    print(f"    {hint}", file=console.file)
