"""A network that AOTInductor compiled, loaded and bound; knows nothing of how it was built."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engines.backends.inductor_files import Loaded, Weight
from engines.binding import bound_spec, checked_inputs, checked_outputs
from engines.errors import EngineError
from engines.narrowing import PREFIX
from engines.protocol import MemoryInfo, SwapResult
from engines.spec import EngineSpec
from engines.swap import check_delta

_PRECISIONS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


class InductorModule:
    """A compiled network on its device."""

    def __init__(
        self,
        spec: EngineSpec,
        loaded: Loaded,
        *,
        device: torch.device,
        weights: Mapping[str, Weight],
    ) -> None:
        self.spec = spec
        self.device = device
        self._weights = weights
        self._loaded: Loaded | None = loaded
        # Names that the code has for each place; it has none for weights that it does not use.
        self._places: dict[str, list[str]] = {}
        used = set(loaded.runner.get_constant_fqns())
        for name, weight in weights.items():
            if PREFIX + name in used:
                self._places.setdefault(weight.place, []).append(PREFIX + name)

    @property
    def computes_in(self) -> str:
        """The precision that the weights have in the code; of the build where there are none."""
        kinds = {weight.dtype for weight in self._weights.values()} & _PRECISIONS.keys()
        return "+".join(sorted(_PRECISIONS[kind] for kind in kinds)) or self.spec.precision

    def bind(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor] | None = None
    ) -> InductorBinding:
        """Tie the network to these tensors; outputs not given are allocated once, here."""
        loaded = self._open()
        spec = bound_spec(self.spec, inputs)
        return InductorBinding(
            loaded,
            inputs=checked_inputs(spec, inputs, device=self.device),
            outputs=checked_outputs(spec, outputs, device=self.device),
        )

    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """Copy the given values over the named weights; nothing changes if one does not fit.

        Graphs captured of it before are to be captured anew.
        """
        runner = self._open().runner
        shapes = {name: weight.shape for name, weight in self._weights.items()}
        check_delta(delta, shapes, role=self.spec.role)
        placed: dict[str, Tensor] = {}
        for name, value in delta.items():
            weight = self._weights[name]
            put = weight.put(value, self.device)
            placed |= dict.fromkeys(self._places.get(weight.place, ()), put)
        if placed:
            runner.load_constants(placed, False, False, False)
        return SwapResult(names=tuple(delta))

    def memory(self) -> MemoryInfo:
        """Count the weights, one that has several names once; scratch is torch's own affair."""
        sizes = {weight.place: weight.nbytes for weight in self._weights.values()}
        return MemoryInfo(weight_bytes=sum(sizes.values()))

    def close(self) -> None:
        """Let go of the network; bindings made before keep it until they are dropped."""
        self._loaded = None

    def _open(self) -> Loaded:
        if self._loaded is None:
            raise EngineError(f"{self.spec.role}: closed, compile it again")
        return self._loaded


class InductorBinding:
    """A compiled network tied to fixed tensors."""

    def __init__(
        self, loaded: Loaded, *, inputs: tuple[Tensor, ...], outputs: dict[str, Tensor]
    ) -> None:
        self.outputs: Mapping[str, Tensor] = outputs
        self._loaded = loaded
        self._inputs = inputs
        self._outputs = tuple(outputs.values())

    @torch.inference_mode()
    def run(self) -> None:
        """Compute the outputs from what the inputs hold now, on the current stream.

        The code allocates what it returns, from torch's own memory; it is copied to its place.
        """
        made = self._loaded.runner.run(list(self._inputs))
        for place, result in zip(self._outputs, made, strict=True):
            place.copy_(result)
