"""AOTInductor: a network compiled ahead of time by torch itself, for CPUs and NVIDIA GPUs."""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any  # options, facts and compiled models of torch are of any type

import torch
from torch import nn
from torch.export.passes import move_to_device_pass

from engines import narrowing
from engines.backends import inductor_files
from engines.backends.compilers import (
    compiler_hint,
    compiler_version,
    cpu_facts,
    find_compiler,
    has_python_headers,
    headers_hint,
)
from engines.backends.inductor_files import MODEL, load_package, read_weights, write_weights
from engines.backends.inductor_module import InductorModule
from engines.errors import BuildError
from engines.export import exported, exporter_hash
from engines.narrowing import narrowed
from engines.protocol import Artifact, Availability, BackendOptions
from engines.spec import EngineSpec

_OPTIONS: dict[str, Any] = {
    # Else small weights, and those that are all alike, become numbers that nobody can exchange.
    "always_keep_tensor_constants": True,
    "joint_graph_constant_folding": False,
    # Else the number of threads of the machine that builds is written into the code.
    "cpp.dynamic_threads": True,
    # They would take longer than they save: the folder that they lie in is gone after the build.
    "aot_inductor.precompile_headers": False,
    "cpp_cache_precompile_headers": False,
}
# Triton needs Volta or later.
_LEAST_CAPABILITY = (7, 0)
# The folder of inductor's caches is named by an environment variable, one for the process.
_BUILD_LOCK = Lock()


class InductorBackend:
    """Compiles with a C++ compiler, and Triton on a GPU; the number of threads is torch's own."""

    name = "inductor"
    #: A build takes minutes on a GPU, so there are few of them.
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8)

    def __init__(self, options: BackendOptions) -> None:
        self.options = options

    def probe(self, device: str) -> Availability:
        """Tell whether torch has the device and there is what it compiles with; never raises."""
        versions = _versions()
        try:
            kind = torch.device(device).type
            if kind not in ("cpu", "cuda"):
                hint = "use --backend torch"
                return Availability(ok=False, reason=f"not for {kind}", hint=hint)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            hint = "use --device cpu, or install a torch built for this device"
            return Availability(ok=False, reason=reason, hint=hint, versions=versions)
        lack = _lack(device)
        reason, hint = lack if lack else ("", "")
        return Availability(ok=lack is None, reason=reason, hint=hint, versions=versions)

    def precisions(self, device: str) -> tuple[str, ...]:
        """Precisions of the device; a CPU without bf16 of its own computes it slowly."""
        if torch.device(device).type == "cpu":
            return ("fp32", "bf16")
        bf16 = ("bf16",) if torch.cuda.is_bf16_supported(including_emulation=False) else ()
        return (*bf16, "fp16", "fp32")

    def captures_on(self, device: str) -> bool:
        """Tell whether a run may be captured as a CUDA graph (`graphs.py`)."""
        return torch.device(device).type == "cuda"

    def key_facts(self, spec: EngineSpec, *, device: str) -> dict[str, object]:
        """What shapes the files: versions, the compiler, the CPU, the GPU, and this code."""
        compiler = find_compiler()
        facts: dict[str, object] = {
            "versions": _versions(),
            "compiler": compiler_version(compiler) if compiler else None,
            "cpu": cpu_facts(),
            "device": torch.device(device).type,
            "exporter": [
                exporter_hash(),
                *map(_hash, (__file__, inductor_files.__file__, narrowing.__file__)),
            ],
        }
        if torch.device(device).type == "cuda":
            gpu = torch.cuda.get_device_properties(device)
            facts["cuda"] = torch.version.cuda
            facts["gpu"] = [gpu.name, gpu.major, gpu.minor, gpu.multi_processor_count]
        return facts

    def build(
        self, spec: EngineSpec, module: nn.Module, folder: Path, *, device: str = "cpu"
    ) -> None:
        """Compile a module, or an exported program's, for a device; takes from seconds to minutes.

        Nothing but the folder is written to: inductor's caches are gone afterwards.
        """
        lack = _lack(device)
        if lack:
            raise BuildError(f"{spec.role}: inductor cannot build: {': '.join(lack)}")
        with _own_caches(folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of its own deprecations
            program = _exported(spec, module, device)
            options = {**_OPTIONS, "cpp.cxx": (None, find_compiler())}
            try:
                torch._inductor.aoti_compile_and_package(
                    program, package_path=str(folder / MODEL), inductor_configs=options
                )
            # Inductor passes on what Triton, the compiler and its own passes raise.
            except Exception as error:
                raise BuildError(
                    f"{spec.role}: inductor cannot compile: {_cause(error)}"
                ) from error
        kind = torch.device(device).type
        write_weights(program, folder, kind=kind, precision=spec.precision)

    def load(self, artifact: Artifact, *, device: str) -> InductorModule:
        """Load a built network to the device that it was built for."""
        placed = torch.device(device)
        weights = read_weights(artifact, kind=placed.type)
        loaded = load_package(artifact, placed)
        return InductorModule(artifact.spec, loaded, device=placed, weights=weights)


def _lack(device: str) -> tuple[str, str] | None:
    """Return what is missing for a build, and the line that mends it; None where all is there."""
    if find_compiler() is None:
        return "finds no C++ compiler", compiler_hint()
    if torch.device(device).type == "cpu":
        return None
    if "triton" not in _versions():
        return "finds no Triton", "pip install triton"
    if not has_python_headers():
        return "finds no Python.h, which Triton compiles with", headers_hint()
    if torch.cuda.get_device_capability(device) < _LEAST_CAPABILITY:
        name = torch.cuda.get_device_name(device)
        return f"{name} is older than what Triton compiles for", "use --backend torch"
    return None


def _versions() -> dict[str, str]:
    versions = {"torch": str(torch.__version__)}
    with suppress(PackageNotFoundError):
        versions["triton"] = version("triton")
    return versions


def _hash(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _exported(spec: EngineSpec, module: nn.Module, device: str) -> torch.export.ExportedProgram:
    """Export a module on the CPU, where it is given, and then move all of it to the device."""
    program = exported(spec, narrowed(spec, module))
    return program if torch.device(device).type == "cpu" else move_to_device_pass(program, device)


@contextmanager
def _own_caches(folder: Path) -> Iterator[None]:
    """Have inductor and Triton keep their files in a folder in this one, gone afterwards.

    In this one, because it is removed as a whole where the process is killed.
    """
    from torch._inductor.utils import clear_caches

    names = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    with _BUILD_LOCK, tempfile.TemporaryDirectory(dir=folder) as caches:
        before = {name: os.environ.get(name) for name in names}
        clear_caches()
        for name in names:
            os.environ[name] = str(Path(caches).resolve() / name.lower())
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
            clear_caches()  # they remember paths


def _cause(error: Exception) -> str:
    """Return the line that says what is wrong; a compiler's report has many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if any("Python.h" in line for line in lines):
        return f"Python.h is missing: {headers_hint()}"
    telling = [line for line in lines if "error:" in line.lower()]
    return (telling or lines or [type(error).__name__])[0]
