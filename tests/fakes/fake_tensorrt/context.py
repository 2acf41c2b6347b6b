"""IExecutionContext: one run of an engine at a time, on the addresses that it was told."""

from __future__ import annotations

import ctypes
import math
from typing import Any

from fake_tensorrt.arguments import Undefined, address, instance, integer, text
from fake_tensorrt.enums import ExecutionContextAllocationStrategy, TensorIOMode
from fake_tensorrt.foundation import Dims, NoDims, sides
from fake_tensorrt.loggers import ILogger, error, tell
from fake_tensorrt.memory import Held, look_up

_USER_MANAGED = ExecutionContextAllocationStrategy.USER_MANAGED
#: Of scratch memory; of tensors too, but torch gives 64 on a CPU.
_ALIGNMENT = 256


class IExecutionContext:
    """Shapes first, then addresses, then runs; what was set stays set."""

    __slots__ = ("_addresses", "_engine", "_held", "_logger", "_outputs", "_profile", "_scratch",
                 "_shapes", "_strategy", "_tied", "name")  # fmt: skip

    def __init__(self) -> None:
        raise TypeError("IExecutionContext: No constructor defined!")

    @classmethod
    def _made(
        cls, engine: Any, logger: ILogger, *, strategy: ExecutionContextAllocationStrategy
    ) -> IExecutionContext:
        context = cls.__new__(cls)
        context._engine, context._logger, context._strategy = engine, logger, strategy
        context._addresses: dict[str, int] = {}
        context._scratch = (0, 0)
        context.name = "Unnamed Context"
        context._select(0)
        return context

    def _select(self, profile: int) -> None:
        self._profile = profile
        names = [n for n, (_, mode) in self._engine._ports.items() if mode == TensorIOMode.INPUT]
        fixed = {name: tuple(self._engine.get_tensor_shape(name)) for name in names}
        self._shapes = {name: shape for name, shape in fixed.items() if -1 not in shape}
        self._forget()

    def _forget(self) -> None:
        self._outputs: dict[str, tuple[int, ...]] | None = None
        self._tied: Any = None
        self._held: dict[int, Held] = {}

    @property
    def engine(self) -> Any:
        return self._engine

    @property
    def active_optimization_profile(self) -> int:
        return self._profile

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        """Choose a profile; shapes set before are forgotten. RuntimeError where there is none."""
        at = integer(profile_index, "set_optimization_profile_async")
        address(stream_handle, "set_optimization_profile_async")
        if not 0 <= at < self._engine.num_optimization_profiles:
            error(self._logger, f"IExecutionContext: there is no optimization profile {at}")
            raise RuntimeError("Error in set optimization profile async.")
        self._select(at)
        return True

    def set_input_shape(self, name: str, shape: Any) -> bool:
        """Set the shape of an input; False where the profile has no such."""
        given = sides(shape, "set_input_shape")
        if self._engine.get_tensor_mode(name) != TensorIOMode.INPUT:
            return self._refuse(f"setInputShape: {name} is no input")
        least, _, most = self._engine.get_tensor_profile_shape(name, self._profile)
        limits = list(zip(least, given, most, strict=False))
        if len(given) != len(least) or any(not low <= side <= high for low, side, high in limits):
            return self._refuse(
                f"setInputShape: Error Code 3: {name} {given} is outside of the range of profile"
                f" {self._profile}: {least} to {most}"
            )
        if self._shapes.get(name) != given:
            self._shapes[name] = given
            self._forget()
        return True

    def get_tensor_shape(self, name: str) -> Dims:
        """Return a shape; what is not known before all inputs have theirs is -1."""
        mode = self._engine.get_tensor_mode(name)
        if mode == TensorIOMode.NONE:
            return NoDims()
        if mode == TensorIOMode.INPUT:
            return Dims(self._shapes.get(name, tuple(self._engine.get_tensor_shape(name))))
        built = self._engine.get_tensor_shape(name)
        return Dims(built if self.infer_shapes() else self._output_shapes()[name])

    def infer_shapes(self) -> list[str]:
        """Return the inputs that still lack a shape."""
        ports = self._engine._ports.items()
        inputs = [name for name, (_, mode) in ports if mode == TensorIOMode.INPUT]
        return [name for name in inputs if name not in self._shapes]

    def _output_shapes(self) -> dict[str, tuple[int, ...]]:
        if self._outputs is None:
            ports = self._engine._ports.items()
            names = [name for name, (_, mode) in ports if mode == TensorIOMode.OUTPUT]
            built = {name: tuple(self._engine.get_tensor_shape(name)) for name in names}
            is_fixed = all(-1 not in shape for shape in built.values())
            numbers = self._engine._numbers
            self._outputs = built if is_fixed else numbers.output_shapes(self._shapes)
        return self._outputs

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """Tell where a tensor lies; 0 forgets it. False for a name that is no tensor's."""
        place = address(memory, "set_tensor_address")
        if self._engine.get_tensor_mode(name) == TensorIOMode.NONE:
            return False
        self._addresses[name] = place
        self._tied = None
        return True

    def get_tensor_address(self, name: str) -> int:
        """Return where a tensor lies, 0 where that is not known."""
        return self._addresses.get(text(name, "get_tensor_address"), 0)

    def set_device_memory(self, memory: int, size: int) -> None:
        """Give scratch memory to a context that was created for it."""
        place, room = address(memory, "set_device_memory"), integer(size, "set_device_memory")
        if self._strategy != _USER_MANAGED:
            raise Undefined("set_device_memory: the context has memory of its own")
        if place % _ALIGNMENT:
            self._refuse(f"setDeviceMemoryV2: {place:#x} is not aligned")
        elif room < self._engine.get_device_memory_size_for_profile_v2(self._profile):
            self._refuse(f"setDeviceMemoryV2: {room} bytes are not enough")
        else:
            self._scratch = (place, room)
            self._tied = None

    def update_device_memory_size_for_shapes(self) -> int:
        """Return the scratch memory that the shapes of now need."""
        needed: int = self._engine.get_device_memory_size_for_profile_v2(self._profile)
        return 0 if self.infer_shapes() else needed

    def set_aux_streams(self, aux_streams: list[int]) -> None:
        """Give streams to an engine that runs on more than one: none does here."""
        instance(aux_streams, list, "set_aux_streams")

    def execute_async_v3(self, stream_handle: int) -> bool:
        """Run on a stream; False, with the reason in the log, where something was not set."""
        stream = address(stream_handle, "execute_async_v3")
        reason = self._lack()
        if reason:
            return self._refuse(f"enqueueV3: Error Code 3: API Usage Error ({reason})")
        if not stream:
            tell(self._logger, ILogger.WARNING, "Using default stream in enqueueV3() may be slow")
        engine = self._engine
        things: list[tuple[str, object]] = [("context", self)]
        if self._strategy == _USER_MANAGED:
            things.append(("scratch memory", self._scratch[0]))
        with engine._gpu.using(*things):
            engine._gpu.reach(stream, engine)
            engine._running.append(self)
            try:
                self._tie()
                if self._strategy == _USER_MANAGED:
                    ctypes.memset(self._scratch[0], 0xA5, self._scratch[1])
                engine._numbers.run(self._tied)
            finally:
                engine._running.remove(self)
        return True

    def _lack(self) -> str | None:
        unshaped = self.infer_shapes()
        if unshaped:
            return f"the shape of {unshaped[0]} is not set"
        unset = [name for name in self._engine._ports if not self._addresses.get(name)]
        if unset:
            return f"the address of {unset[0]} is not set"
        if self._strategy == _USER_MANAGED:
            needed = self._engine.get_device_memory_size_for_profile_v2(self._profile)
            if self._scratch[1] < needed:
                return f"no device memory: {needed} bytes are needed"
        if self._engine._unfilled:
            return "the weights were stripped: refit them first"
        return None

    def _tie(self) -> None:
        """Check whose memory it is, and tie the numbers to it; later, that it is still there."""
        shapes = self._shapes | self._output_shapes()
        if self._tied is None:
            self._held = look_up((*self._addresses.values(), self._scratch[0]))
        for name, shape in shapes.items():
            dtype = self._engine.get_tensor_dtype(name)
            nbytes = math.prod(shape) * int(dtype.itemsize or 0)
            self._memory(self._addresses[name], name).check(nbytes, dtype, name)
        if self._strategy == _USER_MANAGED:
            memory = self._memory(self._scratch[0], "scratch memory")
            memory.check(self._scratch[1], None, "scratch memory")
        if self._tied is None:
            places = {name: (self._addresses[name], shape) for name, shape in shapes.items()}
            inputs = {name: places[name] for name in self._shapes}
            outputs = {name: places[name] for name in self._output_shapes()}
            self._tied = self._engine._numbers.bound(inputs, outputs)

    def _memory(self, place: int, what: str) -> Held:
        if place not in self._held:
            raise Undefined(f"{what}: {place:#x} is no living tensor's: keep the tensor alive")
        return self._held[place]

    def _refuse(self, why: str) -> bool:
        error(self._logger, f"IExecutionContext::{why}")
        return False
