"""The numbers: ONNX Runtime reads and writes the memory at the addresses that it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any  # ONNX Runtime ships no types

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper

from fake_tensorrt.graphs import element_types, refittable
from fake_tensorrt.widening import full_name, widened

Places = Mapping[str, tuple[int, tuple[int, ...]]]  # by name: an address, and the shape there


class Numbers:
    """A graph in ONNX Runtime; its refittable weights lie outside, where new ones are written."""

    def __init__(self, model: ModelProto, *, is_refittable: bool) -> None:
        self._kinds = element_types(model)
        weights = refittable(model) if is_refittable else {}
        #: What a refit overwrites, in fp32, by the names of the initializers.
        self.weights: dict[str, Any] = {
            name: np.ascontiguousarray(numpy_helper.to_array(each).astype("float32"))
            for name, each in weights.items()
        }
        self.types = {name: each.data_type for name, each in weights.items()}
        graph = ModelProto()
        graph.CopyFrom(widened(model))
        is_widened = len(graph.graph.node) != len(model.graph.node)
        self._names = {n: full_name(n, kind) for n, kind in self.types.items()}
        _move_to_inputs(graph, self._names, self.weights)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        options.use_deterministic_compute = True
        # It fuses pairs around a MatMul for fp8 too, and has no kernel for what comes out.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        level = ort.GraphOptimizationLevel
        # Optimising would take the rounding between two steps for something to leave out.
        options.graph_optimization_level = (
            level.ORT_DISABLE_ALL if is_widened else level.ORT_ENABLE_ALL
        )
        data = graph.SerializeToString()
        self._session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def bound(self, inputs: Places, outputs: Places) -> Any:
        """Return what `run` takes: the session tied to these places."""
        tied = self._session.io_binding()
        for name, (address, shape) in inputs.items():
            tied.bind_input(name, "cpu", 0, self._kinds[name], list(shape), address)
        for name, value in self.weights.items():
            place = (TensorProto.FLOAT, list(value.shape), value.ctypes.data)
            tied.bind_input(self._names[name], "cpu", 0, *place)
        for name, (address, shape) in outputs.items():
            tied.bind_output(name, "cpu", 0, self._kinds[name], list(shape), address)
        return tied

    def run(self, tied: Any) -> None:
        """Compute; without Python's lock."""
        self._session.run_with_iobinding(tied)

    def output_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Return the shapes that the outputs have at these of the inputs, by trying it."""
        zeros = {
            name: np.zeros(shape, helper.tensor_dtype_to_np_dtype(self._kinds[name]))
            for name, shape in shapes.items()
        }
        places = {n: (zero.ctypes.data, zero.shape) for n, zero in zeros.items()}
        tied = self.bound(places, {})
        names = [output.name for output in self._session.get_outputs()]
        for name in names:
            tied.bind_output(name, "cpu")
        self.run(tied)
        found = tied.get_outputs()
        return {name: tuple(v.shape()) for name, v in zip(names, found, strict=True)}


def _move_to_inputs(
    model: ModelProto, names: Mapping[str, str], weights: Mapping[str, Any]
) -> None:
    moved = set(names.values())
    kept = [each for each in model.graph.initializer if each.name not in moved]
    model.graph.ClearField("initializer")
    model.graph.initializer.extend(kept)
    for name, full in names.items():
        shape = weights[name].shape
        model.graph.input.append(helper.make_tensor_value_info(full, TensorProto.FLOAT, shape))


def from_memory(data: bytes, kind: int) -> Any:
    """Return values of a float type, as they lie in memory, in fp32."""
    if kind == TensorProto.BFLOAT16:
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    dtype = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    return np.frombuffer(data, dtype).astype(np.float32)
