"""Runtime: makes engines of plans, or refuses them."""

from __future__ import annotations

from typing import ClassVar

from fake_tensorrt.builder import device_of
from fake_tensorrt.config import Bytes
from fake_tensorrt.engine import ICudaEngine
from fake_tensorrt.gpu import Gpu
from fake_tensorrt.loggers import ILogger, alive, error
from fake_tensorrt.plan import unpacked


class Runtime:
    """Needs a GPU, like the builder."""

    _gpu: ClassVar[Gpu | None]
    _version: ClassVar[str]
    __slots__ = ("_device", "_logger", "engine_host_code_allowed", "max_threads")

    def __init__(self, logger: ILogger) -> None:
        self._logger = alive(logger, "Runtime")
        self._device = device_of(self._gpu, self._logger)
        self.engine_host_code_allowed, self.max_threads = False, 1

    @property
    def logger(self) -> ILogger:
        return self._logger

    def deserialize_cuda_engine(self, serialized_engine: Bytes) -> ICudaEngine | None:
        """Return the engine of a plan; None, with the reason in the log, where it is no good."""
        if not isinstance(serialized_engine, bytes | bytearray | memoryview):
            raise TypeError("deserialize_cuda_engine: incompatible function arguments: a buffer")
        gpu = self._device
        try:
            plan, graph = unpacked(
                bytes(memoryview(serialized_engine)),
                version=self._version,
                gpu=gpu.name,
                capability=gpu.capability,
            )
        except (ValueError, KeyError, TypeError) as found:
            error(self._logger, f"IRuntime::deserializeCudaEngine: Error Code 1: {found}")
            return None
        return ICudaEngine._made(self, self._logger, gpu=gpu, plan=plan, graph=graph)
