"""What this machine compiles with: a C++ compiler, Python's headers, the CPU's abilities."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch

_INSTALL = {
    "linux": "apt install g++, or name a compiler by CXX",
    "darwin": "xcode-select --install",
    "win32": "install the C++ build tools of Visual Studio and start from their prompt",
}
_INSTALL_HEADERS = "apt install python3-dev, or use a Python that has its headers"


def find_compiler(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the C++ compiler that CXX names, or else the usual one; None where there is none."""
    usual = ("cl",) if sys.platform == "win32" else ("g++", "clang++")
    named = (environ["CXX"],) if environ.get("CXX") else usual
    found = (shutil.which(name, path=environ.get("PATH")) for name in named)
    return next((path for path in found if path is not None), None)


def compiler_hint() -> str:
    """Return the line that makes a compiler available here."""
    return _INSTALL.get(sys.platform, _INSTALL["linux"])


def headers_hint() -> str:
    """Return the line that makes Python's headers available."""
    return _INSTALL_HEADERS


def has_python_headers() -> bool:
    """Tell whether C code that calls Python can be compiled; Triton does that."""
    return (Path(sysconfig.get_path("include")) / "Python.h").is_file()


@cache
def compiler_version(compiler: str) -> str:
    """Return the first line that a compiler says about itself."""
    try:
        told = subprocess.run(
            [compiler, "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return (told.stdout or told.stderr).partition("\n")[0].strip()


@cache
def cpu_facts() -> dict[str, str]:
    """Return what decides which machine code fits this CPU."""
    return {
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "flags": hashlib.sha256(_flags().encode()).hexdigest()[:16],
    }


def _flags() -> str:
    """Return the CPU's instruction sets as the system lists them, or else its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    listed = [line for line in lines if line.startswith(("flags", "Features"))]
    return " ".join(sorted(listed[0].partition(":")[2].split())) if listed else ""
