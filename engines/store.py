"""From a module to a network that runs: built once, kept in the cache, loaded ever after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from torch import nn

from engines.cache import CacheEntry, EngineCache
from engines.calibration import Calibration
from engines.errors import ArtifactError, BuildError, EngineError
from engines.fingerprint import Fingerprints, structure_hash
from engines.manifest import Facts
from engines.precision import check_int8, resolve
from engines.protocol import (
    Artifact,
    ArtifactBackend,
    CompiledModule,
    EagerBackend,
    EngineBackend,
    QuantisingBackend,
)
from engines.spec import INT8, EngineSpec
from engines.verify import Limits, compare, sample_inputs


class NetworkStore:
    """Makes modules runnable with one backend on one device."""

    def __init__(self, *, backend: EngineBackend, cache: EngineCache, device: str = "cpu") -> None:
        self.backend = backend
        self.cache = cache
        self.device = device
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
        calibration: for int8, and for nothing else.
        """
        backend = self.backend
        if spec.precision == INT8:
            return self._quantised(spec, module.eval(), limits=limits, calibration=calibration)
        resolve(spec.precision, backend, self.device)
        if isinstance(backend, EagerBackend):
            return backend.adopt(spec, module, device=self.device)
        if isinstance(backend, ArtifactBackend):
            return self._from_cache(
                spec, module.eval(), backend, build=partial(backend.build, spec), limits=limits
            )
        raise EngineError(f"backend {backend.name!r} can neither adopt a module nor build one")

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

    def _quantised(
        self,
        spec: EngineSpec,
        module: nn.Module,
        *,
        limits: Limits | None,
        calibration: Calibration | None,
    ) -> CompiledModule:
        backend = check_int8(self.backend, self.device)
        if calibration is None:
            raise EngineError(f"{spec.role}: int8 needs a calibration to choose its ranges by")
        return self._from_cache(
            spec,
            module,
            backend,
            build=partial(backend.build, spec, calibration=calibration),
            limits=limits,
            more={"calibration": calibration.fingerprint},
        )

    def _from_cache(
        self,
        spec: EngineSpec,
        module: nn.Module,
        backend: ArtifactBackend | QuantisingBackend,
        *,
        build: Callable[..., None],
        limits: Limits | None,
        more: Mapping[str, str] | None = None,
    ) -> CompiledModule:
        facts = {
            **self._facts(spec, module),
            **(more or {}),
            "limits": repr(limits),  # what a laxer time let pass is no artifact of a stricter one
        }

        def make(folder: Path) -> Mapping[str, object]:
            build(module, folder)
            if limits is None:
                return {}
            compiled = backend.load(Artifact(spec=spec, folder=folder), device=self.device)
            try:
                return {"verified": self._verify(compiled, module, limits)}
            finally:
                compiled.close()  # Windows cannot rename a folder whose files are mapped

        def load(entry: CacheEntry) -> CompiledModule:
            return backend.load(Artifact(spec=spec, folder=entry.folder), device=self.device)

        entry = self.cache.obtain(spec.role, facts, make)
        try:
            return load(entry)
        except ArtifactError as error:
            self.cache.quarantine(entry, str(error))
            return load(self.cache.obtain(spec.role, facts, make))

    def _verify(
        self, compiled: CompiledModule, module: nn.Module, limits: Limits
    ) -> dict[str, object]:
        inputs = sample_inputs(compiled.spec, seed=0)
        report = compare(compiled, module, inputs=inputs, device=self.device)
        try:
            report.require(limits)
        except EngineError as error:
            name = self.backend.name
            way_out = "use another backend" if compiled.spec.precision == "fp32" else "use fp32"
            raise BuildError(f"{error}: {name} is not exact enough here, {way_out}") from error
        return report.to_dict()
