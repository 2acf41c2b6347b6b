"""A network that TensorRT built, loaded and bound; knows nothing of how it was built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol  # Any: TensorRT's bindings carry no types

import torch
from torch import Tensor

from engines.backends.tensorrt_build import profiles
from engines.backends.tensorrt_library import Library
from engines.backends.tensorrt_scratch import Scratch
from engines.binding import bound_spec, checked_inputs, checked_outputs
from engines.errors import EngineError, SwapUnsupported
from engines.protocol import MemoryInfo, SwapResult
from engines.spec import QUANTISED, EngineSpec


class Swap(Protocol):
    """What exchanges weights of an engine."""

    def __call__(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """As of `CompiledModule.swap_weights`; Spoilt where the engine is of no use any more."""


class Spoilt(EngineError):
    """An engine holds neither the old weights nor the new ones."""


class Held:
    """An engine in memory, with what its bindings share; `fault` says why it must not run."""

    def __init__(
        self, library: Library, engine: Any, *, device: torch.device, scratch: Scratch
    ) -> None:
        self.library = library
        self.engine = engine
        self.device = device
        self.scratch = scratch
        self.fault = ""


class TensorRtModule:
    """An engine on its device.

    swap: what exchanges its weights; None where it was built without.
    """

    def __init__(
        self,
        spec: EngineSpec,
        held: Held,
        *,
        computes_in: str,
        plan_bytes: int,
        swap: Swap | None = None,
    ) -> None:
        self.spec = spec
        self.device = held.device
        self.computes_in = computes_in
        self._plan_bytes = plan_bytes
        self._held: Held | None = held
        self._swap = swap

    def bind(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor] | None = None
    ) -> TensorRtBinding:
        """Tie the network to these tensors; outputs not given are allocated once, here."""
        held = self._open()
        spec = bound_spec(self.spec, inputs)
        given = checked_inputs(spec, inputs, device=self.device)
        return TensorRtBinding(
            held,
            spec,
            profile=_profile(self.spec, spec),
            inputs={tensor.name: value for tensor, value in zip(spec.inputs, given, strict=True)},
            outputs=checked_outputs(spec, outputs, device=self.device),
        )

    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """Refit the named weights, on the current stream; nothing changes if one does not fit.

        Not while a run of a binding is under way on another stream. Bindings made before compute
        with the new weights; graphs captured of them are to be captured anew. Where neither the new
        weights nor the old ones can be put in, the network is closed, with its bindings.
        """
        held = self._open()
        if self.spec.precision in QUANTISED:
            raise SwapUnsupported(
                f"{self.spec.role}: weights of {self.spec.precision} cannot be swapped, their"
                " scales are of what they were when it was built: use bf16"
            )
        if self._swap is None:
            raise SwapUnsupported(
                f"{self.spec.role}: this engine was built to keep its weights, which makes it"
                " faster: ask for one whose weights can be swapped"
            )
        try:
            return self._swap(delta)
        except Spoilt as error:
            held.fault = str(error)
            self.close()
            raise

    def memory(self) -> MemoryInfo:
        """Tell the size of the weights, and of the scratch memory, which all networks share."""
        held = self._open()
        # Of a plan that came with its weights, the whole is an upper bound where it is not told.
        weights = _weight_bytes(held) or self._plan_bytes
        scratch = int(held.engine.device_memory_size_v2)
        return MemoryInfo(weight_bytes=weights, scratch_bytes=scratch)

    def close(self) -> None:
        """Let go of the network; bindings made before keep it until they are dropped."""
        self._held = self._swap = None

    def _open(self) -> Held:
        if self._held is None:
            raise EngineError(f"{self.spec.role}: closed, compile it again")
        return self._held


class TensorRtBinding:
    """An execution context that reads and writes the memory of the bound torch tensors."""

    def __init__(
        self,
        held: Held,
        spec: EngineSpec,
        *,
        profile: int,
        inputs: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
    ) -> None:
        self.outputs = outputs
        self._role = spec.role
        self._held = held
        self._inputs = inputs  # kept alive, as the outputs are: the context has their addresses
        with held.library.on(held.device):
            self._context: Any = _context(held, self._role)
            if held.engine.num_optimization_profiles > 1:
                self._choose(profile)
            self._tie(inputs, is_input=True)
            self._tie(outputs, is_input=False)
            self._work_in(held.library.stream(held.device))

    def run(self) -> None:
        """Compute the outputs from what the inputs hold now, on the current stream."""
        held = self._held
        if held.fault:
            raise EngineError(held.fault)
        mark = held.library.log.mark
        with held.library.ordered(held.device, held.scratch.aside) as stream:
            if stream != self._stream:
                self._work_in(stream)
            if not self._context.execute_async_v3(stream):
                said = held.library.log.since(mark)
                raise EngineError(f"{self._role}: tensorrt cannot run it: {said}")

    def _choose(self, profile: int) -> None:
        """Choose a profile, and wait until it is there: the first run may be on another stream."""
        held = self._held
        with held.library.ordered(held.device, held.scratch.aside) as stream:
            self._context.set_optimization_profile_async(profile, stream)
        held.library.synchronize(held.device)

    def _tie(self, tensors: Mapping[str, Tensor], *, is_input: bool) -> None:
        engine, log = self._held.engine, self._held.library.log
        mark = log.mark
        for name, tensor in tensors.items():
            is_ranged = is_input and -1 in tuple(engine.get_tensor_shape(name))
            fits = not is_ranged or self._context.set_input_shape(name, tuple(tensor.shape))
            if not fits or not self._context.set_tensor_address(name, tensor.data_ptr()):
                said = log.since(mark)
                raise EngineError(f"{self._role}: tensorrt cannot bind {name!r}: {said}")

    def _work_in(self, stream: int) -> None:
        """Take the scratch memory of a stream: others may be at work in that of another."""
        held = self._held
        self._stream = stream
        self._piece = held.scratch.piece(stream, int(held.engine.device_memory_size_v2))
        self._context.set_device_memory(self._piece.data_ptr(), self._piece.nbytes)


def _context(held: Held, role: str) -> Any:
    strategy = held.library.trt.ExecutionContextAllocationStrategy.USER_MANAGED
    mark = held.library.log.mark
    context = held.engine.create_execution_context(strategy)
    if context is None:
        said = held.library.log.since(mark)
        raise EngineError(f"{role}: tensorrt makes no context for it: {said}")
    return context


def _weight_bytes(held: Held) -> int:
    """Return the size of an engine's weights, 0 where it does not tell."""
    stat = held.library.trt.EngineStat.TOTAL_WEIGHTS_SIZE
    try:
        return max(int(held.engine.get_engine_stat(stat)), 0)
    except TypeError:  # of 10.14's bindings: they try to tie the engine's life to the number
        return 0


def _profile(built: EngineSpec, bound: EngineSpec) -> int:
    """Return the number of the profile for a specification of fixed shapes."""
    return 0 if not built.ranges or bound == built.at() else len(profiles(built)) - 1
