"""From a module to a network that runs: built once, kept in the cache, loaded ever after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from engines.cache import CacheEntry, EngineCache
from engines.errors import ArtifactError, EngineError
from engines.fingerprint import structure_hash, weights_hash
from engines.precision import resolve
from engines.protocol import (
    Artifact,
    ArtifactBackend,
    CompiledModule,
    EagerBackend,
    EngineBackend,
)
from engines.spec import EngineSpec
from engines.verify import Limits, compare, sample_inputs


def compile_network(
    spec: EngineSpec,
    module: nn.Module,
    *,
    backend: EngineBackend,
    cache: EngineCache,
    device: str = "cpu",
    limits: Limits | None = None,
) -> CompiledModule:
    """Make a module runnable on a device, from the cache where it was built before.

    module: fp32 on the CPU (see `protocol.py`); it is put in eval mode and not kept.
    limits: a new build is compared with the module once, on seeded inputs, and refused with
    EngineError if it is worse. A backend without artifacts runs the module and is not compared.
    """
    resolve(spec.precision, backend, device)
    if isinstance(backend, EagerBackend):
        return backend.adopt(spec, module, device=device)
    if isinstance(backend, ArtifactBackend):
        return _from_cache(spec, module.eval(), backend, cache=cache, device=device, limits=limits)
    raise EngineError(f"backend {backend.name!r} can neither adopt a module nor build one")


def _from_cache(
    spec: EngineSpec,
    module: nn.Module,
    backend: ArtifactBackend,
    *,
    cache: EngineCache,
    device: str,
    limits: Limits | None,
) -> CompiledModule:
    facts = {
        "spec": spec.to_dict(),
        "weights": weights_hash(module),
        "structure": structure_hash(module),
        "backend": backend.name,
        "backend_facts": backend.key_facts(spec, device=device),
    }

    def build(folder: Path) -> Mapping[str, object]:
        backend.build(spec, module, folder)
        if limits is None:
            return {}
        compiled = backend.load(Artifact(spec=spec, folder=folder), device=device)
        report = compare(compiled, module, inputs=sample_inputs(spec, seed=0), device=device)
        compiled.close()  # Windows cannot rename a folder whose files are mapped
        report.require(limits)
        return {"verified": report.to_dict()}

    def load(entry: CacheEntry) -> CompiledModule:
        return backend.load(Artifact(spec=spec, folder=entry.folder), device=device)

    entry = cache.obtain(spec.role, facts, build)
    try:
        return load(entry)
    except ArtifactError as error:
        cache.quarantine(entry, str(error))
        return load(cache.obtain(spec.role, facts, build))
