"""A network that OpenVINO compiled, bound and given new weights; knows nothing of its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any  # OpenVINO ships no types: its objects are Any here

import torch
from torch import Tensor

from engines.backends.openvino_library import import_openvino
from engines.backends.openvino_weights import put_weights
from engines.binding import bound_spec, checked_inputs, checked_outputs
from engines.errors import EngineError, SwapUnsupported
from engines.protocol import MemoryInfo, SwapResult
from engines.spec import EngineSpec
from engines.swap import WeightPlaces


class Network:
    """What was read of a file, and what is compiled of it."""

    def __init__(self, model: Any, compile_: Callable[[Any], Any]) -> None:
        self.compiled: Any = compile_(model)
        self._model = model
        self._compile = compile_

    def with_weights(self, values: Mapping[str, Tensor]) -> Network:
        """Return the network with other values in the constants of these names, compiled alike.

        What is shared is read only: whoever runs this one goes on meanwhile and afterwards.
        """
        model = self._model.clone()
        put_weights(model, values)
        return Network(model, self._compile)


class OpenVinoModule:
    """A network compiled by OpenVINO."""

    def __init__(
        self,
        spec: EngineSpec,
        network: Network,
        *,
        places: WeightPlaces | None,
        weight_bytes: int,
        computes_in: str,
    ) -> None:
        """places: of the weights; None where they have become integers."""
        self.spec = spec
        self.computes_in = computes_in
        self._network: Network | None = network
        self._places = places
        self._weight_bytes = weight_bytes

    def bind(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor] | None = None
    ) -> OpenVinoBinding:
        """Tie the network to CPU tensors; outputs not given are allocated once, here."""
        network = self._open()
        cpu = torch.device("cpu")
        spec = bound_spec(self.spec, inputs)
        given = checked_inputs(spec, inputs, device=cpu)
        named = {tensor.name: value for tensor, value in zip(spec.inputs, given, strict=True)}
        made = checked_outputs(spec, outputs, device=cpu)
        return OpenVinoBinding(network.compiled.create_infer_request(), inputs=named, outputs=made)

    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """Compile the network anew with these values; bindings made before keep the old ones.

        OpenVINO lays weights out anew when it compiles, which takes it from tenths of a second to
        some seconds; no torch takes part. Nothing changes if one does not fit, or none is given.
        """
        network = self._open()
        if self._places is None:
            raise SwapUnsupported(
                f"{self.spec.role}: its weights are integers in ranges that were chosen for those"
                " it was built with: swap weights in bf16 or fp32, or build the changed module"
            )
        values = self._places.put(delta, role=self.spec.role)
        if not values:
            return SwapResult(names=tuple(delta))
        try:
            self._network = network.with_weights(values)
        except RuntimeError as error:
            raise EngineError(f"{self.spec.role}: openvino cannot compile it: {error}") from error
        return SwapResult(names=tuple(delta), needs_binding=True)

    def memory(self) -> MemoryInfo:
        """Tell the size of the fp32 weights; OpenVINO does not tell what it made of them."""
        return MemoryInfo(weight_bytes=self._weight_bytes)

    def close(self) -> None:
        """Let go of the network; bindings made before keep it until they are dropped."""
        self._network = None

    def _open(self) -> Network:
        if self._network is None:
            raise EngineError(f"{self.spec.role}: closed, compile it again")
        return self._network


class OpenVinoBinding:
    """An inference request that reads and writes the memory of the bound torch tensors."""

    def __init__(
        self, request: Any, *, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
    ) -> None:
        self.outputs = outputs
        self._request: Any = request
        self._inputs = inputs  # with the outputs: kept alive, the request has only their addresses
        ov = import_openvino()
        for name, tensor in (*inputs.items(), *outputs.items()):
            request.set_tensor(name, ov.Tensor(tensor.detach().numpy(), shared_memory=True))

    def run(self) -> None:
        """Compute the outputs from what the inputs hold now, outside of Python's lock."""
        self._request.infer(share_outputs=True)
