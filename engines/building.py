"""How one network is built into a folder and compared with its module."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Protocol

from torch import nn

from engines.calibration import Calibration
from engines.errors import BuildCancelled, BuildError, EngineError
from engines.progress import BuildEvent, Stage, Tell, Watch, Watchable
from engines.protocol import Artifact, ArtifactBackend, CompiledModule, QuantisingBackend
from engines.spec import EngineSpec
from engines.verify import Limits, Report, compare, sample_inputs

_OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildJob:
    """What is built, by which backend, and how good it has to be.

    limits: None builds without a comparison. log: where a log is kept if the build fails, by who
    keeps one; None: nowhere.
    """

    spec: EngineSpec
    module: nn.Module
    backend: ArtifactBackend | QuantisingBackend
    device: str = "cpu"
    limits: Limits | None = None
    calibration: Calibration | None = None
    log: Path | None = None

    def event(self, stage: Stage, message: str = "") -> BuildEvent:
        """Return an event of this job."""
        return BuildEvent(role=self.spec.role, stage=stage, message=message)

    def check(self, cancel: Event) -> None:
        """Raise BuildCancelled where somebody wants the build no more."""
        if cancel.is_set():
            raise BuildCancelled(f"{self.spec.role}: its build was cancelled")


class Builder(Protocol):
    """A way to build: in this process (`build_here`) or in another one (`jobs.BuildApart`)."""

    def __call__(
        self, job: BuildJob, folder: Path, *, tell: Tell, cancel: Event
    ) -> Mapping[str, object]:
        """Write the artifact into the empty folder and return plain data for its manifest.

        tell: hears of "exporting", "building" and "verifying"; how it ends is for the caller to
        tell. Raises BuildError, BuildCancelled, and OSError where the folder cannot be written.
        """


def build_here(job: BuildJob, folder: Path, *, tell: Tell, cancel: Event) -> Mapping[str, object]:
    """Build in this process; `cancel` is looked at between two steps.

    A backend that is `Watchable` looks at it while it compiles, too, and tells how far it is.
    """
    job.check(cancel)
    job = replace(job, backend=_watched(job, tell, cancel))
    tell(job.event("building", job.backend.name))
    started = perf_counter()
    with _told_of_memory(job):
        if job.calibration is None:
            job.backend.build(job.spec, job.module, folder, device=job.device)
        else:
            assert isinstance(job.backend, QuantisingBackend)  # `store` has seen to it
            job.backend.build(
                job.spec, job.module, folder, device=job.device, calibration=job.calibration
            )
    info: dict[str, object] = {"build_seconds": round(perf_counter() - started, 3)}
    if job.limits is None:
        return info
    job.check(cancel)
    tell(job.event("verifying"))
    with _told_of_memory(job):
        compiled = job.backend.load(Artifact(spec=job.spec, folder=folder), device=job.device)
        try:
            report = _verified(job, compiled, job.limits)
        finally:
            compiled.close()  # Windows cannot rename a folder whose files are mapped
    return {**info, "computes_in": compiled.computes_in, "verified": report.to_dict()}


def _watched(job: BuildJob, tell: Tell, cancel: Event) -> ArtifactBackend | QuantisingBackend:
    backend = job.backend
    if not isinstance(backend, Watchable):
        return backend

    def told(what: str, share: float | None) -> None:
        tell(replace(job.event("building", f"{job.backend.name}: {what}"), share=share))

    return backend.watched(Watch(tell=told, is_wanted=lambda: not cancel.is_set()))


@contextmanager
def _told_of_memory(job: BuildJob) -> Iterator[None]:
    """Put a sentence to what Python and torch raise where memory has run out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # of the latter, torch.OutOfMemoryError is one
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            raise BuildError(
                f"{job.spec.role}: {job.backend.name} ran out of memory over it: close other"
                " programs, draw a smaller size, or use the torch backend"
            ) from error
        raise


def _verified(job: BuildJob, compiled: CompiledModule, limits: Limits) -> Report:
    """Return how exact the network is; BuildError where it is worse than the limits."""
    name, asked = job.backend.name, job.spec.precision
    if compiled.computes_in != asked:
        raise BuildError(
            f"{job.spec.role}: asked {name} for {asked}, it computes in {compiled.computes_in}"
        )
    try:
        report = _report(job, compiled)
        report.require(limits)
        if job.spec.ranges:  # what was traced at one size need not be right at another
            least = {side: size.least for side, size in job.spec.ranges.items()}
            _report(job, compiled, least).require(limits)
    except EngineError as error:
        way_out = "use another backend" if asked == "fp32" else "use fp32"
        raise BuildError(f"{error}: {name} is not exact enough here, {way_out}") from error
    return report


def _report(
    job: BuildJob, compiled: CompiledModule, sizes: Mapping[str, int] | None = None
) -> Report:
    inputs = sample_inputs(job.spec.at(sizes), seed=0)
    return compare(compiled, job.module, inputs=inputs, device=job.device)
