"""What every backend offers: build once, bind once, run without allocation.

A module given to a backend is an `nn.Module` in fp32 whose `forward` takes the inputs of its
specification positionally and returns a tensor, or a tuple, in the order of its outputs. Inside
it casts pixels and other non-floats to the dtype of its weights, because a backend may convert
those: `pixels.to(self.conv.weight.dtype)`. It returns the dtypes of the specification, except
that floats may come in any float type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from engines.errors import EngineError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from engines.calibration import Calibration
    from engines.spec import EngineSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether a backend can run here; `reason` says why not and `hint` what would mend it."""

    ok: bool
    reason: str = ""
    hint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryInfo:
    """Bytes that a compiled network holds; `scratch_bytes` is None where nobody tells."""

    weight_bytes: int
    scratch_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """What a user may ask of any backend.

    threads: for the network on a CPU, None leaves it to the backend. The torch backend leaves
    it to the process, because torch has one setting for all.
    """

    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise EngineError(f"threads {self.threads}: give 1 or more, or None")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A built network on disk: the specification it was built for and the folder it lies in."""

    spec: EngineSpec
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapResult:
    """Names of the weights that were exchanged.

    needs_binding: bindings made before go on with the old weights; bind anew for the new ones.
    """

    names: tuple[str, ...]
    needs_binding: bool = False


class Binding(Protocol):
    """A network tied to fixed tensors: write the inputs in place, run, read the outputs."""

    @property
    def outputs(self) -> Mapping[str, Tensor]:
        """Tensors that each run overwrites."""

    def run(self) -> None:
        """Compute the outputs from what the bound inputs hold now."""


class CompiledModule(Protocol):
    """A network ready to run on one device."""

    @property
    def spec(self) -> EngineSpec:
        """What it may be bound to."""

    @property
    def computes_in(self) -> str:
        """The precision of its heavy layers as its backend reports it, not as it was asked for."""

    def bind(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor] | None = None
    ) -> Binding:
        """Tie the network to these tensors; outputs not given are allocated once, here."""

    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """Replace the named weights by the given values, or raise SwapUnsupported.

        Not while a binding runs. delta: by the names in the module that was compiled, of any float
        type; whoever goes from one set to another and back supplies every weight that either
        touched. Nothing changes where one does not fit (SpecMismatch).
        """

    def memory(self) -> MemoryInfo:
        """Tell what the network holds in memory."""

    def close(self) -> None:
        """Give the memory back; no binding may be made or run afterwards."""


class EngineBackend(Protocol):
    """A way to run networks; what both kinds below have in common."""

    @property
    def name(self) -> str:
        """Name in the registry."""

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Batch sizes that networks are compiled for, rising from 1; () where any size will do.

        A batch of another size is drawn in several of these, without padding.
        """

    def probe(self, device: str) -> Availability:
        """Tell whether the backend runs on this device; never raises."""

    def precisions(self, device: str) -> tuple[str, ...]:
        """Precisions that the device can do, the one that "auto" means first."""


@runtime_checkable
class EagerBackend(EngineBackend, Protocol):
    """A backend that runs the module itself and keeps nothing on disk."""

    def adopt(self, spec: EngineSpec, module: nn.Module, *, device: str) -> CompiledModule:
        """Return a runnable copy of the module."""


@runtime_checkable
class ArtifactBackend(EngineBackend, Protocol):
    """A backend that builds files once and loads them afterwards."""

    def key_facts(self, spec: EngineSpec, *, device: str) -> dict[str, object]:
        """Plain data on everything that changes the built files, for the cache key."""

    def build(
        self, spec: EngineSpec, module: nn.Module, folder: Path, *, device: str = "cpu"
    ) -> None:
        """Write the network, built for the device, into the empty folder; or raise BuildError."""

    def load(self, artifact: Artifact, *, device: str) -> CompiledModule:
        """Make a built network runnable; raise ArtifactError if the files are no good."""


@runtime_checkable
class RefitBackend(EngineBackend, Protocol):
    """A backend that builds a network otherwise where its weights are to be swapped later."""

    def refits(self, device: str) -> bool:
        """Tell whether `EngineSpec.swaps_weights` makes another network of it on this device."""


@runtime_checkable
class QuantisingBackend(EngineBackend, Protocol):
    """A backend with artifacts that also builds them in precisions that are quantised."""

    def quantises(self, device: str) -> Mapping[str, Availability]:
        """Tell of each of `spec.QUANTISED` that it knows, whether it can here; never raises.

        Only asked where the backend runs.
        """

    def key_facts(self, spec: EngineSpec, *, device: str) -> dict[str, object]:
        """As of `ArtifactBackend`."""

    def build(
        self,
        spec: EngineSpec,
        module: nn.Module,
        folder: Path,
        *,
        device: str = "cpu",
        calibration: Calibration | None = None,
    ) -> None:
        """As of `ArtifactBackend`; with a calibration, in a precision that is quantised."""

    def load(self, artifact: Artifact, *, device: str) -> CompiledModule:
        """As of `ArtifactBackend`."""
