"""Refitter: gives an engine new weights, all that belong together at once."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from fake_tensorrt.arguments import Undefined, address, instance, text
from fake_tensorrt.engine import ICudaEngine
from fake_tensorrt.enums import DataType, TensorLocation
from fake_tensorrt.foundation import Weights
from fake_tensorrt.graphs import TYPES
from fake_tensorrt.loggers import alive, error
from fake_tensorrt.memory import Held, look_up
from fake_tensorrt.running import from_memory


class Refitter:
    """What was set stays set: each refit reads all of it again, from where it was said to lie."""

    __slots__ = ("_engine", "_given", "_logger", "max_threads", "weights_validation")

    def __init__(self, engine: ICudaEngine, logger: Any) -> None:
        self._engine: ICudaEngine = instance(engine, ICudaEngine, "Refitter")
        self._logger = alive(logger, "Refitter")
        self._given: dict[str, tuple[Weights, TensorLocation]] = {}
        self.max_threads, self.weights_validation = 1, True
        if not self._engine.refittable:
            error(self._logger, "createInferRefitter: the engine is not refittable")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    @property
    def logger(self) -> Any:
        return self._logger

    def get_all_weights(self) -> list[str]:
        """Return the names of all weights that can be set."""
        return list(self._engine._numbers.weights)

    def get_missing_weights(self) -> list[str]:
        """Return the names of those that have to be set too, beside what is set."""
        missing = set(self._engine._unfilled) - self._given.keys()
        for group in self._engine._groups:
            if group & self._given.keys():
                missing |= group - self._given.keys()
        return sorted(missing)

    def get_weights_prototype(self, weights_name: str) -> Weights:
        """Return a weight's type and count; a count of -1 where there is no such weight."""
        name = text(weights_name, "get_weights_prototype")
        if name not in self._engine._numbers.weights:
            prototype = Weights(DataType.FLOAT)
            prototype._count = -1
            return prototype
        prototype = Weights(TYPES[self._engine._numbers.types[name]])
        prototype._count = self._engine._numbers.weights[name].size
        return prototype

    def set_named_weights(
        self,
        name: str,
        weights: Weights | Any,
        location: TensorLocation = TensorLocation.HOST,
    ) -> bool:
        """Set a weight; False where there is none of that name, type and count."""
        given = Weights(weights) if isinstance(weights, np.ndarray) else weights
        instance(given, Weights, "set_named_weights")
        instance(location, TensorLocation, "set_named_weights")
        wanted = self.get_weights_prototype(name)
        if wanted.size == -1:
            return self._refuse(f"setNamedWeights: there are no refittable weights {name!r}")
        if (given.dtype, given.size) != (wanted.dtype, wanted.size):
            told = f"{given.size} of {given.dtype.name}, not {wanted.size} of {wanted.dtype.name}"
            return self._refuse(f"setNamedWeights: {name} is {told}")
        if not given._pointer:
            return self._refuse(f"setNamedWeights: {name} has no values")
        self._given[name] = (given, location)
        return True

    def unset_named_weights(self, weights_name: str) -> bool:
        """Forget a weight; False where it was not set."""
        return self._given.pop(text(weights_name, "unset_named_weights"), None) is not None

    def get_named_weights(self, weights_name: str) -> Weights:
        """Return what was set."""
        name = text(weights_name, "get_named_weights")
        if name not in self._given:
            self._refuse(f"getNamedWeights: {name} was never set")
            return Weights(DataType.FLOAT)
        return self._given[name][0]

    def get_weights_location(self, weights_name: str) -> TensorLocation:
        """Tell where what was set lies."""
        name = text(weights_name, "get_weights_location")
        return self._given[name][1] if name in self._given else TensorLocation.HOST

    def refit_cuda_engine(self) -> bool:
        """Write all weights that were set into the engine, now."""
        self._engine._gpu.synchronize()
        return self._refit(lambda work: work())

    def refit_cuda_engine_async(self, stream_handle: int) -> bool:
        """Write all weights that were set; those on the GPU are read when the stream gets there."""
        stream = address(stream_handle, "refit_cuda_engine_async")
        gpu, engine = self._engine._gpu, self._engine
        return self._refit(lambda work: gpu.enqueue(stream, engine, work))

    def _refit(self, put: Callable[[Callable[[], None]], None]) -> bool:
        engine = self._engine
        if engine._running:
            raise Undefined("the engine is refitted while it runs")
        missing = self.get_missing_weights()
        if missing:
            return self._refuse(f"refitCudaEngine: {len(missing)} weights are missing: {missing}")
        places = [w._pointer for w, at in self._given.values() if at == TensorLocation.DEVICE]
        held = look_up(places) if places else {}
        is_failing = engine._gpu.failing_refits > 0
        chosen = list(self._given.items())
        for name, (weights, location) in chosen[: (len(chosen) + 1) // 2 if is_failing else None]:
            if location == TensorLocation.HOST:
                self._write(name, weights, None)
            else:
                self._check(name, weights, held)
                memory = held[weights._pointer]
                put(lambda n=name, w=weights, m=memory: self._write(n, w, m))  # type: ignore[misc]
        if is_failing:
            engine._gpu.failing_refits -= 1
            return self._refuse("refitCudaEngine: Error Code 1: some weights were refitted")
        engine._unfilled -= self._given.keys()
        return True

    def _check(self, name: str, weights: Weights, held: dict[int, Held]) -> None:
        if weights._pointer not in held:
            raise Undefined(f"{name}: {weights._pointer:#x} is no living tensor's")
        held[weights._pointer].check(weights.nbytes, weights.dtype, name)

    def _write(self, name: str, weights: Weights, memory: Held | None) -> None:
        if memory is not None:
            memory.check(weights.nbytes, weights.dtype, name)
        data = ctypes.string_at(weights._pointer, weights.nbytes)
        target = self._engine._numbers.weights[name]
        values = from_memory(data, self._engine._numbers.types[name])
        target[...] = values.reshape(target.shape)

    def _refuse(self, why: str) -> bool:
        error(self._logger, f"IRefitter::{why}")
        return False
