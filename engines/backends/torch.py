"""Eager PyTorch on any device: the reference that the other backends are compared with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from engines.binding import bound_spec, checked_inputs, checked_outputs, torch_dtype
from engines.errors import EngineError, SpecMismatch
from engines.narrowing import is_cast
from engines.protocol import Availability, BackendOptions, MemoryInfo, SwapResult
from engines.spec import EngineSpec
from engines.swap import check_delta

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchBackend:
    """Runs the module itself, channels last; nothing is built and nothing is kept on disk."""

    name = "torch"
    batch_sizes: tuple[int, ...] = ()

    def __init__(self, options: BackendOptions) -> None:
        self.options = options
        self._copies: WeakKeyDictionary[nn.Module, dict[tuple[str, str], nn.Module]] = (
            WeakKeyDictionary()
        )

    def probe(self, device: str) -> Availability:
        """Tell whether torch has the device; never raises."""
        versions = {"torch": str(torch.__version__)}
        try:
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            hint = "use --device cpu, or install a torch built for this device"
            return Availability(ok=False, reason=reason, hint=hint, versions=versions)
        return Availability(ok=True, versions=versions)

    def precisions(self, device: str) -> tuple[str, ...]:
        """Precisions of the device; fp32 first on a CPU, where this backend is the reference."""
        kind = torch.device(device).type
        if kind == "cuda":
            bf16 = ("bf16",) if torch.cuda.is_bf16_supported() else ()
            return (*bf16, "fp16", "fp32")
        return ("fp32", "bf16") if kind == "cpu" else ("fp32", "fp16")

    def adopt(self, spec: EngineSpec, module: nn.Module, *, device: str) -> TorchModule:
        """Copy the module to the device in the precision of the specification.

        Specifications of one module share the copy, so that every batch size has the same
        weights and they are held once.
        """
        copies = self._copies.setdefault(module, {})
        key = (device, spec.precision)
        if key not in copies:
            copied = copy.deepcopy(module).eval().requires_grad_(False)
            copied = copied.to(device=device, dtype=_DTYPES[spec.precision])
            # torch's own stubs lack the form of `to` that takes only a memory format
            copies[key] = copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return TorchModule(spec, copies[key], device=torch.device(device))


class TorchModule:
    """A module that this backend runs; its weights belong to all specifications of the module."""

    def __init__(self, spec: EngineSpec, module: nn.Module, *, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.computes_in = _computes_in(module, spec.precision)
        self._module: nn.Module | None = module

    def bind(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor] | None = None
    ) -> TorchBinding:
        """Tie the module to these tensors; outputs not given are allocated once, here."""
        spec = bound_spec(self.spec, inputs)
        return TorchBinding(
            spec,
            self._open(),
            inputs=checked_inputs(spec, inputs, device=self.device),
            outputs=checked_outputs(spec, outputs, device=self.device),
        )

    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """Copy the given values over the named weights; nothing changes if one does not fit."""
        weights = self._open().state_dict()
        shapes = {name: weight.shape for name, weight in weights.items()}
        check_delta(delta, shapes, role=self.spec.role)
        with torch.no_grad():
            for name, value in delta.items():
                weights[name].copy_(value)
        return SwapResult(names=tuple(delta))

    def memory(self) -> MemoryInfo:
        """Count the weights; what torch takes for a run is torch's own affair."""
        module = self._open()
        tensors = (*module.parameters(), *module.buffers())
        return MemoryInfo(weight_bytes=sum(tensor.nbytes for tensor in tensors))

    def close(self) -> None:
        """Let go of the weights; bindings made before keep theirs until they are dropped."""
        self._module = None

    def _open(self) -> nn.Module:
        if self._module is None:
            raise EngineError(f"{self.spec.role}: closed, compile it again")
        return self._module


def _computes_in(module: nn.Module, without_floats: str) -> str:
    """Return the precision of the first weight that is a float."""
    found = (weight.dtype for weight in module.parameters() if weight.is_floating_point())
    dtype = next(found, None)
    names = {kind: name for name, kind in _DTYPES.items()}
    return without_floats if dtype is None else names[dtype]


class TorchBinding:
    """A module tied to fixed tensors.

    Float inputs of two or more dimensions are cast to the precision of the network, but for those
    that keep their dtype; scalars and vectors (timesteps, scales) keep theirs, because a timestep
    has no exact bf16.
    """

    def __init__(
        self,
        spec: EngineSpec,
        module: nn.Module,
        *,
        inputs: tuple[Tensor, ...],
        outputs: dict[str, Tensor],
    ) -> None:
        self.outputs: Mapping[str, Tensor] = outputs
        self._spec = spec
        self._module = module
        self._dtype = _DTYPES[spec.precision]
        self._inputs = inputs
        self._is_cast = tuple(is_cast(tensor) for tensor in spec.inputs)

    @torch.inference_mode()
    def run(self) -> None:
        """Compute the outputs from what the inputs hold now; torch allocates in between."""
        pairs = zip(self._inputs, self._is_cast, strict=True)
        made = self._module(*(each.to(self._dtype) if casts else each for each, casts in pairs))
        results = made if isinstance(made, tuple | list) else (made,)
        if len(results) != len(self._spec.outputs):
            raise SpecMismatch(
                f"{self._spec.role}: forward returned {len(results)} tensors; "
                f"required: {[str(tensor) for tensor in self._spec.outputs]}"
            )
        for required, result in zip(self._spec.outputs, results, strict=True):
            wanted = torch_dtype(required)
            same_kind = result.dtype == wanted or (
                result.is_floating_point() and wanted.is_floating_point
            )
            if tuple(result.shape) != required.shape or not same_kind:
                raise SpecMismatch(
                    f"{self._spec.role}: forward returned {list(result.shape)} {result.dtype} "
                    f"as output {required.name!r}; required: {required}"
                )
            self.outputs[required.name].copy_(result)
