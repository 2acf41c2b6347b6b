"""ICudaEngine: a plan that was read, its tensors and profiles, and what is made of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import ModelProto, numpy_helper

from fake_tensorrt.arguments import Undefined, instance, integer, text
from fake_tensorrt.context import IExecutionContext
from fake_tensorrt.enums import (
    DataType,
    EngineStat,
    ExecutionContextAllocationStrategy,
    HardwareCompatibilityLevel,
    ProfilingVerbosity,
    SerializationFlag,
    TensorFormat,
    TensorIOMode,
    TensorLocation,
)
from fake_tensorrt.foundation import Dims, IHostMemory, NoDims
from fake_tensorrt.gpu import Gpu
from fake_tensorrt.graphs import TYPES, combined
from fake_tensorrt.inspector import EngineInspector
from fake_tensorrt.loggers import ILogger, error
from fake_tensorrt.network import shape_of
from fake_tensorrt.plan import Plan
from fake_tensorrt.running import Numbers

_ALIGNMENT = 256


class ISerializationConfig:
    """What a plan made of an engine shall hold."""

    __slots__ = ("_flags",)

    def __init__(self) -> None:
        self._flags: set[SerializationFlag] = set()

    def set_flag(self, flag: SerializationFlag) -> bool:
        """Turn a flag on."""
        self._flags.add(instance(flag, SerializationFlag, "set_flag"))
        return True

    def clear_flag(self, flag: SerializationFlag) -> bool:
        """Turn a flag off."""
        self._flags.discard(instance(flag, SerializationFlag, "clear_flag"))
        return True

    def get_flag(self, flag: SerializationFlag) -> bool:
        """Tell whether a flag is on."""
        return flag in self._flags

    @property
    def flags(self) -> int:
        return sum(1 << int(flag) for flag in self._flags)


class ICudaEngine:
    """Keeps its runtime alive, as its contexts keep it."""

    __slots__ = ("_gpu", "_groups", "_logger", "_model", "_numbers", "_plan", "_ports", "_runtime",
                 "_running", "_unfilled")  # fmt: skip

    def __init__(self) -> None:
        raise TypeError("ICudaEngine: No constructor defined!")

    @classmethod
    def _made(
        cls, runtime: Any, logger: ILogger, *, gpu: Gpu, plan: Plan, graph: bytes
    ) -> ICudaEngine:
        engine = cls.__new__(cls)
        engine._runtime, engine._logger = runtime, logger
        engine._gpu, engine._plan = gpu, plan
        engine._model = ModelProto.FromString(graph)
        engine._numbers = Numbers(engine._model, is_refittable=plan.is_refittable)
        inputs, outputs = engine._model.graph.input, engine._model.graph.output
        engine._ports = {value.name: (value, TensorIOMode.INPUT) for value in inputs}
        engine._ports |= {value.name: (value, TensorIOMode.OUTPUT) for value in outputs}
        engine._groups = combined(engine._model) if plan.is_refittable else []
        engine._unfilled: set[str] = set(engine._numbers.weights) if plan.is_stripped else set()
        engine._running: list[IExecutionContext] = []
        return engine

    # --- tensors

    @property
    def num_io_tensors(self) -> int:
        return len(self._ports)

    def get_tensor_name(self, index: int) -> str | None:
        """Return the name of an input or output."""
        names = list(self._ports)
        at = integer(index, "get_tensor_name")
        return names[at] if 0 <= at < len(names) else None

    def __getitem__(self, index: int) -> str:
        return list(self._ports)[integer(index, "__getitem__")]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        """Tell inputs from outputs; NONE for a name that is neither."""
        return self._ports[name][1] if self._has(name) else TensorIOMode.NONE

    def get_tensor_dtype(self, name: str) -> DataType:
        """Return the type of a tensor; FLOAT for a name that is none."""
        if not self._has(name):
            return DataType.FLOAT
        return TYPES[self._ports[name][0].type.tensor_type.elem_type]

    def get_tensor_shape(self, name: str) -> Dims:
        """Return the shape of a tensor, with -1 for sides that are known only when it runs."""
        return Dims(shape_of(self._ports[name][0])) if self._has(name) else NoDims()

    def get_tensor_location(self, name: str) -> TensorLocation:
        """Tell where a tensor has to lie."""
        return TensorLocation.DEVICE if self._has(name) else TensorLocation.DEVICE

    def get_tensor_format(self, name: str, profile_index: int = 0) -> TensorFormat:
        """Return the layout of a tensor."""
        self._has(name)
        return TensorFormat.LINEAR

    def is_shape_inference_io(self, name: str) -> bool:
        """Tell whether a tensor's values are a shape: no input of these networks is."""
        self._has(name)
        return False

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Dims]:
        """Return least, usual and most shape of an input in a profile."""
        at = integer(profile_index, "get_tensor_profile_shape")
        if not self._has(name) or not 0 <= at < self.num_optimization_profiles:
            return [NoDims(), NoDims(), NoDims()]
        fixed = [list(shape_of(self._ports[name][0]))] * 3
        profiles = self._plan.profiles or [{}]
        return [Dims(each) for each in profiles[at].get(name, fixed)]

    def _has(self, name: str) -> bool:
        if text(name, "name") in self._ports:
            return True
        error(self._logger, f"ICudaEngine: Error Code 3: {name} is no input or output tensor")
        return False

    # --- what it is

    @property
    def name(self) -> str:
        return self._plan.name

    @property
    def num_layers(self) -> int:
        return len(self._model.graph.node)

    @property
    def num_optimization_profiles(self) -> int:
        return max(1, len(self._plan.profiles))

    @property
    def refittable(self) -> bool:
        return self._plan.is_refittable

    @property
    def num_aux_streams(self) -> int:
        return 0

    @property
    def hardware_compatibility_level(self) -> HardwareCompatibilityLevel:
        return HardwareCompatibilityLevel.NONE

    @property
    def profiling_verbosity(self) -> ProfilingVerbosity:
        return ProfilingVerbosity["DETAILED" if self._plan.is_detailed else "LAYER_NAMES_ONLY"]

    @property
    def device_memory_size_v2(self) -> int:
        profiles = range(self.num_optimization_profiles)
        return max(self.get_device_memory_size_for_profile_v2(at) for at in profiles)

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        """Return the scratch memory that a profile needs; here as if inputs were copied there."""
        sizes = [
            math.prod(self.get_tensor_profile_shape(name, profile_index)[2])
            for name, (_, mode) in self._ports.items()
            if mode == TensorIOMode.INPUT
        ]
        return _ALIGNMENT * (1 + 4 * sum(sizes) // _ALIGNMENT)

    @property
    def streamable_weights_size(self) -> int:
        return 0

    def get_engine_stat(self, stat: EngineStat = EngineStat.TOTAL_WEIGHTS_SIZE) -> int:
        """Return bytes of weights; -1 for stripped ones of an engine that has all."""
        if self._plan.version.startswith("10.14."):
            # There it is bound with keep_alive<0, 1>, which a number cannot be; mended in 10.15.
            raise TypeError("cannot create weak reference to 'int' object")
        if stat == EngineStat.STRIPPED_WEIGHTS_SIZE and not self._plan.is_stripped:
            return -1
        arrays = (numpy_helper.to_array(each) for each in self._model.graph.initializer)
        return sum(array.nbytes for array in arrays)

    # --- what is made of it

    def create_execution_context(
        self,
        strategy: ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy.STATIC,
    ) -> IExecutionContext:
        """Create a context, which runs one thing at a time."""
        chosen = instance(strategy, ExecutionContextAllocationStrategy, "create_execution_context")
        return IExecutionContext._made(self, self._logger, strategy=chosen)

    def create_engine_inspector(self) -> EngineInspector:
        """Create an object that tells of the layers."""
        return EngineInspector(self)

    def create_serialization_config(self) -> ISerializationConfig:
        """Create a configuration for `serialize_with_config`."""
        return ISerializationConfig()

    def serialize(self) -> IHostMemory:
        """Return a plan of the engine as it is now; since 10.14 it is not refittable again."""
        return self.serialize_with_config(ISerializationConfig())

    def serialize_with_config(self, config: ISerializationConfig) -> IHostMemory:
        """Return a plan of the engine as it is now."""
        flags = instance(config, ISerializationConfig, "serialize_with_config")._flags
        if self._unfilled:
            raise Undefined("an engine whose weights were stripped is written before a refit")
        keeps = SerializationFlag.INCLUDE_REFIT in flags
        excludes = SerializationFlag.EXCLUDE_WEIGHTS in flags
        plan = replace(
            self._plan,
            is_refittable=self._plan.is_refittable and keeps,
            is_stripped=self._plan.is_refittable and keeps and excludes,
        )
        return IHostMemory(plan.packed(self._written()))

    def _written(self) -> bytes:
        made = ModelProto()
        made.CopyFrom(self._model)
        for each in made.graph.initializer:
            if each.name in self._numbers.weights:
                dtype = numpy_helper.to_array(each).dtype
                values = np.asarray(self._numbers.weights[each.name]).astype(dtype)
                each.CopyFrom(numpy_helper.from_array(values, each.name))
        return made.SerializeToString()
