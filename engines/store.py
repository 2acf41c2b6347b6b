"""From a module to a network that runs: built once, kept in the cache, loaded ever after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

from torch import nn

from engines.building import Builder, BuildJob, build_here
from engines.cache import CacheEntry, EngineCache
from engines.calibration import Calibration
from engines.errors import ArtifactError, BuildCancelled, EngineError
from engines.fingerprint import Fingerprints, structure_hash
from engines.manifest import Facts
from engines.precision import check_quantised, resolve
from engines.progress import Tell, tell_nobody
from engines.protocol import (
    Artifact,
    ArtifactBackend,
    CompiledModule,
    EagerBackend,
    EngineBackend,
    RefitBackend,
)
from engines.spec import QUANTISED, EngineSpec
from engines.verify import Limits

#: How often somebody who waits for another process's build asks whether he should go on waiting.
_WAIT_S = 0.1


class NetworkStore:
    """Makes modules runnable with one backend on one device."""

    def __init__(
        self,
        *,
        backend: EngineBackend,
        cache: EngineCache,
        device: str = "cpu",
        builder: Builder = build_here,
        tell: Tell = tell_nobody,
        cancel: Event | None = None,
    ) -> None:
        """builder: how it is built what the cache has not. tell: hears of each step of a build.
        cancel: once set, builds end with BuildCancelled, and leave nothing."""
        self.backend = backend
        self.cache = cache
        self.device = device
        self.builder = builder
        self.tell = tell
        self.cancel = cancel or Event()
        self._fingerprints = Fingerprints()

    def compile(
        self,
        spec: EngineSpec,
        module: nn.Module,
        *,
        limits: Limits | None = None,
        calibration: Calibration | None = None,
    ) -> CompiledModule:
        """Make a module runnable, from the cache where it was built before.

        module: fp32 on the CPU (see `protocol.py`); it is put in eval mode and not kept.
        limits: a new build is compared with the module once, on seeded inputs, and refused with
        BuildError if it is worse. A backend without artifacts runs the module and is not compared.
        calibration: for precisions that are quantised, and for nothing else.
        """
        job = self._job(spec, module, limits=limits, calibration=calibration)
        if job is None:
            assert isinstance(self.backend, EagerBackend)  # else there is a job
            return self.backend.adopt(spec, module, device=self.device)
        entry = self._obtain(job)
        try:
            return self._load(job, entry)
        except ArtifactError as error:
            self.cache.quarantine(entry, str(error))
            return self._load(job, self._obtain(job))

    def build(
        self,
        spec: EngineSpec,
        module: nn.Module,
        *,
        limits: Limits | None = None,
        calibration: Calibration | None = None,
    ) -> CacheEntry | None:
        """Have it in the cache, built now if need be, without loading it; as of `compile`.

        Returns None for a backend that keeps nothing.
        """
        job = self._job(spec, module, limits=limits, calibration=calibration)
        return None if job is None else self._obtain(job)

    def is_built(
        self,
        spec: EngineSpec,
        module: nn.Module,
        *,
        limits: Limits | None = None,
        calibration: Calibration | None = None,
    ) -> bool:
        """Tell whether `compile` of the same has nothing to build; True where nothing ever is.

        A look at names and sizes: a file that was damaged in place is found by `compile`.
        """
        job = self._job(spec, module, limits=limits, calibration=calibration)
        return job is None or self.cache.has(spec.role, self._job_facts(job))

    def facts(self, specs: Sequence[EngineSpec], modules: Sequence[nn.Module]) -> Facts:
        """Return what tells these networks, built here, from others; for results about them."""
        return {"networks": [self._facts(*pair) for pair in zip(specs, modules, strict=True)]}

    def _facts(self, spec: EngineSpec, module: nn.Module) -> dict[str, object]:
        backend = self.backend
        kept: dict[str, object] = {}
        if isinstance(backend, ArtifactBackend):
            kept = backend.key_facts(spec, device=self.device)
        return {
            "spec": spec.to_dict(),
            "weights": self._fingerprints.weights(module),
            "structure": structure_hash(module),
            "backend": backend.name,
            "backend_facts": kept,
        }

    def _job(
        self,
        spec: EngineSpec,
        module: nn.Module,
        *,
        limits: Limits | None,
        calibration: Calibration | None,
    ) -> BuildJob | None:
        """Return what there is to build; None where the backend runs the module itself."""
        backend = self.backend
        if spec.precision in QUANTISED:
            check_quantised(spec.precision, backend, self.device)
            _check_calibrated(spec, calibration)
        else:
            resolve(spec.precision, backend, self.device)
            calibration = None
        if isinstance(backend, EagerBackend):
            return None
        if not isinstance(backend, ArtifactBackend):
            raise EngineError(f"backend {backend.name!r} can neither adopt a module nor build one")
        if not (isinstance(backend, RefitBackend) and backend.refits(self.device)):
            # One network serves both: what was built before is found again.
            spec = replace(spec, swaps_weights=False)
        return BuildJob(
            spec=spec,
            module=module.eval(),
            backend=backend,
            device=self.device,
            limits=limits,
            calibration=calibration,
        )

    def _job_facts(self, job: BuildJob) -> Facts:
        told = {} if job.calibration is None else {"calibration": job.calibration.fingerprint}
        # Limits, too: what a laxer time let pass is no artifact of a stricter one.
        return {**self._facts(job.spec, job.module), **told, "limits": repr(job.limits)}

    def _obtain(self, job: BuildJob) -> CacheEntry:
        role, facts = job.spec.role, self._job_facts(job)
        job = replace(job, log=self.cache.log_path(role, self.cache.key(role, facts)))
        waits = False

        def make(folder: Path) -> Mapping[str, object]:
            return self.builder(job, folder, tell=self.tell, cancel=self.cancel)

        def busy() -> None:
            nonlocal waits
            if not waits:
                self.tell(job.event("waiting", "somebody else is building it"))
                waits = True
            self.cancel.wait(_WAIT_S)
            job.check(self.cancel)

        try:
            entry = self.cache.obtain(role, facts, make, busy=busy)
        except BuildCancelled:
            self.tell(job.event("cancelled"))
            raise
        except EngineError as error:
            self.tell(job.event("failed", str(error)))
            raise
        self.tell(job.event("ready"))
        return entry

    def _load(self, job: BuildJob, entry: CacheEntry) -> CompiledModule:
        artifact = Artifact(spec=job.spec, folder=entry.folder)
        return job.backend.load(artifact, device=self.device)


def _check_calibrated(spec: EngineSpec, calibration: Calibration | None) -> None:
    """Raise EngineError for what no backend can make of a precision that is quantised."""
    if calibration is None:
        raise EngineError(
            f"{spec.role}: {spec.precision} needs a calibration to choose its ranges by"
        )
    if spec.swaps_weights:
        raise EngineError(
            f"{spec.role}: weights of {spec.precision} cannot be swapped, their scales are of what"
            " they were when it was built: use bf16"
        )
