"""NVIDIA's TensorRT: strongly typed networks, built for one GPU, whose weights can be refitted."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Self  # Any: TensorRT's bindings carry no types

import torch
from torch import nn

from engines.backends.tensorrt_build import EFFORTS, Write, compile_plan, read_network
from engines.backends.tensorrt_checks import check_tensors, computes_in
from engines.backends.tensorrt_files import PLAN, Built, read_built, write_built, write_weights
from engines.backends.tensorrt_library import Library, find_library
from engines.backends.tensorrt_module import Held, TensorRtModule
from engines.backends.tensorrt_probe import availability, check_refit, started
from engines.backends.tensorrt_quantised import (
    quantiser_availability,
    quantiser_facts,
    quantising,
)
from engines.backends.tensorrt_refit import Refit
from engines.backends.tensorrt_scratch import Scratch
from engines.backends.tensorrt_timing import timing_path
from engines.calibration import Calibration
from engines.errors import ArtifactError, BuildError
from engines.export import OLDER_OPSET, OPSET, exporter_hash
from engines.progress import UNWATCHED, Watch
from engines.protocol import Artifact, Availability, BackendOptions
from engines.spec import QUANTISED, EngineSpec
from engines.typed_onnx import write_typed

# Ampere: older ones have no kernels for it.
_LEAST_BF16 = (8, 0)


class TensorRtBackend:
    """Builds plans, and runs them; all of one device share what they work in."""

    name = "tensorrt"
    #: A build takes minutes, so there are few of them.
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8)

    def __init__(
        self, options: BackendOptions, library: Callable[[], Library] = find_library
    ) -> None:
        """library: finds TensorRT when it is first needed."""
        self.options = options
        self._find = library
        self._watch = UNWATCHED
        self._scratch: dict[torch.device, Scratch] = {}
        self._lock = Lock()

    def probe(self, device: str) -> Availability:
        """Tell whether TensorRT, its libraries and a driver are here; never raises."""
        return availability(self._find, device)

    def precisions(self, device: str) -> tuple[str, ...]:
        """Precisions of the GPU, bf16 first, in which nothing overflows."""
        gpu = self._find().gpu(torch.device(device))
        bf16 = ("bf16",) if gpu.capability >= _LEAST_BF16 else ()
        return (*bf16, "fp16", "fp32")

    def quantises(self, device: str) -> Mapping[str, Availability]:
        """Tell whether networks can be built for int8 and fp8 here."""
        able = self._find().gpu(torch.device(device)).capability
        return {precision: quantiser_availability(precision, able) for precision in QUANTISED}

    def captures_on(self, device: str) -> bool:
        """Tell whether a run may be captured as a CUDA graph (`graphs.py`)."""
        return torch.device(device).type == "cuda"

    def refits(self, device: str) -> bool:
        """Tell that weights are swapped in engines that were built for it alone."""
        return True

    def watched(self, watch: Watch) -> Self:
        """Return the same backend, with the same scratch memory, whose builds tell this one."""
        watched = copy.copy(self)
        watched._watch = watch
        return watched

    def key_facts(self, spec: EngineSpec, *, device: str) -> dict[str, object]:
        """What shapes the files: all four parts of the version, this very GPU, and this code."""
        library = self._find()
        here, above = Path(__file__).parent, Path(__file__).parents[1]
        files = [*sorted(here.glob("tensorrt*.py")), *sorted(above.glob("typed_*.py"))]
        files.append(above / "narrowing.py")
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        return {
            "versions": library.versions,
            "device": torch.device(device).type,
            "gpu": asdict(library.gpu(torch.device(device))),
            "exporter": [exporter_hash(), *digests],
            "opsets": [OPSET, OLDER_OPSET],
            "efforts": [asdict(effort) for effort in EFFORTS],
            **(quantiser_facts(self._floats(device)) if spec.precision in QUANTISED else {}),
        }

    def build(
        self,
        spec: EngineSpec,
        module: nn.Module,
        folder: Path,
        *,
        device: str = "cpu",
        calibration: Calibration | None = None,
    ) -> None:
        """Write a plan for the device's GPU, which must be here; takes minutes.

        Raises BuildError with what TensorRT said, BuildCancelled where its watch has had enough.
        """

        def write(path: Path, opset: int) -> None:
            write_typed(spec, module, path, opset=opset)

        made: Write = write
        if calibration is not None:
            made = quantising(spec, module, calibration, floats=self._floats(device))
        self.build_from(spec, module, folder, device=device, write=made)

    def build_from(
        self, spec: EngineSpec, module: nn.Module, folder: Path, *, device: str, write: Write
    ) -> None:
        """As `build`, of what `write` makes of the module."""
        library, placed = self._find(), torch.device(device)
        if spec.swaps_weights:
            check_refit(library, spec.role)
        with TemporaryDirectory(dir=folder) as temporary, library.on(placed):
            draft = read_network(library, spec, write, Path(temporary))
            times = timing_path(folder, library, library.gpu(placed).name)
            plan = folder / PLAN
            attempt = compile_plan(library, spec, draft, plan, times=times, watch=self._watch)
            if spec.swaps_weights:
                write_weights(draft.path, module, folder)
        built = Built(
            computes_in=spec.precision,
            tensorrt=library.version,
            opset=draft.opset,
            attempt=attempt,
        )
        write_built(built, folder)
        if spec.swaps_weights:
            self._check_swaps(Artifact(spec=spec, folder=folder), device)

    def load(self, artifact: Artifact, *, device: str) -> TensorRtModule:
        """Open a plan on the GPU that it was built for."""
        spec, placed, library = artifact.spec, torch.device(device), self._find()
        built = read_built(artifact)
        if built.computes_in != spec.precision:
            told = f"{built.computes_in}; required: {spec.precision}"
            raise ArtifactError(f"{spec.role}: {PLAN} is for {told}")
        with library.on(placed):
            engine, size = _opened(library, artifact)
            check_tensors(library, engine, spec)
            scratch = self._scratch_of(placed)
            held = Held(library, engine, device=placed, scratch=scratch)
            return TensorRtModule(
                spec,
                held,
                computes_in=computes_in(library, engine, spec, built.computes_in),
                plan_bytes=size,
                swap=Refit(held, artifact) if spec.swaps_weights else None,
            )

    def _floats(self, device: str) -> str:
        """Return what computes of a quantised network that is not quantised."""
        return self.precisions(device)[0]

    def _scratch_of(self, device: torch.device) -> Scratch:
        with self._lock:
            if device not in self._scratch:
                self._scratch[device] = Scratch(device)
            return self._scratch[device]

    def _check_swaps(self, artifact: Artifact, device: str) -> None:
        """Raise BuildError where weights are gone that any LoRA may want to exchange."""
        library, placed = self._find(), torch.device(device)
        with library.on(placed):
            engine, _ = _opened(library, artifact)
            held = Held(library, engine, device=placed, scratch=self._scratch_of(placed))
            lost = Refit(held, artifact).missing()
        if lost:
            raise BuildError(
                f"{artifact.spec.role}: tensorrt cannot exchange {len(lost)} of its weights,"
                f" such as {', '.join(lost[:3])}: run without LoRAs, or use --backend inductor"
            )


def _opened(library: Library, artifact: Artifact) -> tuple[Any, int]:
    """Return the engine of a plan, and the plan's size; ArtifactError where it is no good here."""
    role = artifact.spec.role
    try:
        plan = (artifact.folder / PLAN).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{role}: {PLAN} cannot be read: {error}") from error
    # Nothing in it is to be run on the CPU: that stays as it is, not allowed.
    runtime: Any = started(lambda: library.trt.Runtime(library.log.sink), library, "Runtime")
    mark = library.log.mark
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise ArtifactError(f"{role}: tensorrt refuses {PLAN}: {library.log.since(mark)}")
    return engine, len(plan)
