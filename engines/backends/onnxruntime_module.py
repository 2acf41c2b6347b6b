"""A network that ONNX Runtime opened, bound and given new weights; knows nothing of its build."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any  # ONNX Runtime ships no types: its objects are Any here

import torch
from torch import Tensor

from engines.backends.onnxruntime_fp16 import COMPUTES_IN
from engines.binding import bound_spec, checked_inputs, checked_outputs
from engines.errors import EngineError
from engines.protocol import MemoryInfo, SwapResult
from engines.spec import EngineSpec, TensorSpec
from engines.swap import WeightPlaces

#: Numbers and names that ONNX and ONNX Runtime have for the types of tensors.
TYPES = {
    "float32": (1, "float"),
    "uint8": (2, "uint8"),
    "int8": (3, "int8"),
    "int32": (6, "int32"),
    "int64": (7, "int64"),
    "bool": (9, "bool"),
    "float16": (10, "float16"),
    "bfloat16": (16, "bfloat16"),
}


class OnnxRuntimeModule:
    """A network opened by ONNX Runtime."""

    def __init__(
        self,
        spec: EngineSpec,
        session: Any,
        *,
        places: WeightPlaces,
        reopen: Callable[[Mapping[str, Any]], Any],
        device: torch.device,
        weight_bytes: int,
    ) -> None:
        """reopen: returns a session of the same file with other values for some weights."""
        self.spec = spec
        self.device = device
        # ONNX Runtime changes no types of its own accord.
        told: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        self.computes_in = told.get(COMPUTES_IN, "fp32")
        self._session: Any = session
        self._places = places
        self._reopen = reopen
        self._values: Mapping[str, Any] = {}
        self._weight_bytes = weight_bytes

    def bind(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor] | None = None
    ) -> OnnxRuntimeBinding:
        """Tie the network to these tensors; outputs not given are allocated once, here."""
        session = self._open()
        spec = bound_spec(self.spec, inputs)
        given = checked_inputs(spec, inputs, device=self.device)
        named = {tensor.name: value for tensor, value in zip(spec.inputs, given, strict=True)}
        made = checked_outputs(spec, outputs, device=self.device)
        # The session reads the swapped weights where they are: they are kept with it.
        kept = session, self._values
        return OnnxRuntimeBinding(kept, spec, inputs=named, outputs=made)

    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """Open the file anew with these values; bindings made before keep the old ones.

        ONNX Runtime lays weights out anew when it opens a file; no torch takes part. Nothing
        changes if one does not fit, or none is given.
        """
        self._open()
        placed = self._places.put(delta, role=self.spec.role)
        if not placed:
            return SwapResult(names=tuple(delta))
        of_numpy = import_module("onnxruntime").OrtValue.ortvalue_from_numpy
        new = {name: of_numpy(value.numpy()) for name, value in placed.items()}
        values = {**self._values, **new}
        self._session, self._values = self._reopen(values), values
        return SwapResult(names=tuple(delta), needs_binding=True)

    def memory(self) -> MemoryInfo:
        """Tell the size of the file; ONNX Runtime does not tell what it made of it."""
        return MemoryInfo(weight_bytes=self._weight_bytes)

    def close(self) -> None:
        """Let go of the network; bindings made before keep it until they are dropped."""
        self._session, self._values = None, {}

    def _open(self) -> Any:
        if self._session is None:
            raise EngineError(f"{self.spec.role}: closed, compile it again")
        return self._session


class OnnxRuntimeBinding:
    """A session that reads and writes the memory of the bound torch tensors."""

    def __init__(
        self,
        kept: tuple[Any, Mapping[str, Any]],
        spec: EngineSpec,
        *,
        inputs: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
    ) -> None:
        """kept: the session, and the values that it has not from its file."""
        self.outputs = outputs
        self._kept = kept
        self._session: Any = kept[0]
        self._inputs = inputs  # with the outputs: kept alive, the session has only their addresses
        self._tied: Any = self._session.io_binding()
        for tensor in spec.inputs:
            self._tied.bind_input(tensor.name, *_place(tensor, inputs[tensor.name]))
        for tensor in spec.outputs:
            self._tied.bind_output(tensor.name, *_place(tensor, outputs[tensor.name]))
        device = next(iter(outputs.values())).device
        self._gpu = device if device.type == "cuda" else None

    def run(self) -> None:
        """Compute the outputs from what the inputs hold now, outside of Python's lock."""
        if self._gpu is not None:
            # ONNX Runtime has a stream of its own, and waits for no other.
            torch.cuda.current_stream(self._gpu).synchronize()
        self._session.run_with_iobinding(self._tied)


def _place(tensor: TensorSpec, value: Tensor) -> tuple[str, int, int, list[int], int]:
    """Return where a tensor lies, in the words of `bind_input`."""
    number, _ = TYPES[tensor.dtype_name]
    return value.device.type, value.device.index or 0, number, list(value.shape), value.data_ptr()
