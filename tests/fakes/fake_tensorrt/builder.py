"""Builder: makes plans of networks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar

from onnx import ModelProto, TensorProto

from fake_tensorrt.arguments import instance, integer
from fake_tensorrt.config import IBuilderConfig
from fake_tensorrt.enums import WEAK_FLAGS, MemoryPoolType, ProfilingVerbosity
from fake_tensorrt.foundation import IHostMemory
from fake_tensorrt.gpu import Gpu
from fake_tensorrt.graphs import TYPES, element_types, refittable
from fake_tensorrt.loggers import ILogger, alive, error, tell
from fake_tensorrt.network import INetworkDefinition, shape_of
from fake_tensorrt.plan import Plan
from fake_tensorrt.profiles import IOptimizationProfile

#: Compute capabilities that types came with.
_LEAST = {TensorProto.BFLOAT16: (8, 0), TensorProto.FLOAT8E4M3FN: (8, 9)}
PHASE, STEPS = "Building Engine", ("Parsing layers", "Selecting kernels", "Writing the plan")


class Builder:
    """Needs a GPU: without one its factory returns nothing, which pybind11 calls a TypeError."""

    _gpu: ClassVar[Gpu | None]
    _version: ClassVar[str]
    _config_type: ClassVar[type[IBuilderConfig]]
    _network_type: ClassVar[type[INetworkDefinition]]
    __slots__ = ("_device", "_logger", "max_threads")

    def __init__(self, logger: ILogger) -> None:
        self._logger = alive(logger, "Builder")
        self._device = device_of(self._gpu, self._logger)
        self.max_threads = 1

    @property
    def logger(self) -> ILogger:
        return self._logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        """Create a network; flags: bits, `1 << int(member)`, and not a member itself."""
        bits = integer(flags, "create_network")
        is_strong = self._version_major() > 10 or bool(bits >> 1 & 1)
        return self._network_type._made(self, self._logger, flags=bits, is_strong=is_strong)

    def create_builder_config(self) -> IBuilderConfig:
        """Create a configuration with all as usual."""
        header = [self._version, self._device.name, self._device.capability]
        return self._config_type._made(self._logger, header)

    def create_optimization_profile(self) -> IOptimizationProfile:
        """Create a profile without shapes."""
        return IOptimizationProfile._made()

    def is_network_supported(self, network: INetworkDefinition, config: IBuilderConfig) -> bool:
        """Tell whether there is anything against building a network."""
        return not self._objections(network, config)

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None:
        """Build a plan; None where it cannot be, with the reason in the log."""
        instance(network, INetworkDefinition, "build_serialized_network")
        instance(config, IBuilderConfig, "build_serialized_network")
        objections = self._objections(network, config)
        for objection in objections:
            error(self._logger, f"IBuilder::buildSerializedNetwork: Error Code 4: {objection}")
        if objections or network._model is None:
            return None
        if not _is_wanted_to_the_end(config):
            error(self._logger, "buildSerializedNetwork: the build was cancelled by the monitor")
            return None
        if config._cache is not None:
            config._cache._entries |= {node.name: 1.0 for node in network._model.graph.node}
        return IHostMemory(self._plan(network, config).packed(_stripped(network, config)))

    def _plan(self, network: INetworkDefinition, config: IBuilderConfig) -> Plan:
        on = {flag.name for flag in config._flags}
        profiles = [
            {name: [list(each) for each in shapes] for name, shapes in profile._shapes.items()}
            for profile in config._profiles
        ]
        return Plan(
            version=self._version,
            gpu=self._device.name,
            capability=self._device.capability,
            name=network.name,
            profiles=profiles,
            is_refittable=bool(on & {"REFIT", "REFIT_IDENTICAL", "STRIP_PLAN"}),
            is_stripped="STRIP_PLAN" in on,
            is_detailed=config.profiling_verbosity == ProfilingVerbosity.DETAILED,
        )

    def _objections(self, network: INetworkDefinition, config: IBuilderConfig) -> list[str]:
        found: list[str] = []
        if not network._is_strong:
            # The real one would choose types itself: this one knows none but those of the graph.
            found.append("the network was not created with STRONGLY_TYPED: no weak typing here")
        weak = sorted(flag.name for flag in config._flags if flag.name in WEAK_FLAGS)
        found += [f"{name} cannot be set for a strongly typed network" for name in weak]
        if network._model is None:
            return [*found, "the network has no outputs"]
        found += _wrong_profiles(network._model, config)
        kinds, own = element_types(network._model).values(), self._device.capability
        for kind, least in _LEAST.items():
            if kind in kinds and tuple(map(int, own.split("."))) < least:
                found.append(f"{TYPES[kind].name} is not supported on a GPU of {own}")
        if config.builder_optimization_level > self._device.highest_level:
            node = network._model.graph.node[0].name
            found.append(f"Could not find any implementation for node {node}.")
        if config.get_memory_pool_limit(MemoryPoolType.WORKSPACE) < self._device.least_workspace:
            found.append("Could not find any implementation: insufficient workspace")
        return found

    def _version_major(self) -> int:
        return int(self._version.split(".")[0])


def device_of(gpu: Gpu | None, logger: ILogger) -> Gpu:
    """Return the GPU, or raise as the bindings do where there is no driver."""
    if gpu is None:
        error(logger, "CUDA initialization failure with error: 35. Please check your CUDA setup.")
        raise TypeError("pybind11::init(): factory function returned nullptr")
    return gpu


def _wrong_profiles(model: ModelProto, config: IBuilderConfig) -> list[str]:
    shapes = {value.name: shape_of(value) for value in model.graph.input}
    dynamic = {name for name, shape in shapes.items() if -1 in shape}
    if dynamic and not config._profiles:
        return [
            "Network has dynamic or shape inputs, but no optimization profile has been defined."
        ]
    found = []
    for at, profile in enumerate(config._profiles):
        for name in sorted(dynamic - profile._shapes.keys()):
            found.append(f"In profile {at}, input {name} has no shapes")
        for name, chosen in profile._shapes.items():
            if name not in shapes:
                found.append(f"In profile {at}, {name} is no input of the network")
            elif any(not _is_within(shapes[name], each) for each in chosen):
                found.append(f"In profile {at}, {name} is {chosen}, the network {shapes[name]}")
    return found


def _is_within(fixed: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    pairs = zip(fixed, shape, strict=False)
    return len(fixed) == len(shape) and all(side in (-1, given) for side, given in pairs)


def _stripped(network: INetworkDefinition, config: IBuilderConfig) -> bytes:
    made = ModelProto()
    assert network._model is not None
    made.CopyFrom(network._model)
    if config.get_flag(config._flag_type["STRIP_PLAN"]):
        for weight in refittable(made).values():
            size = len(weight.raw_data)
            weight.raw_data = bytes(size)
    return made.SerializeToString()


def _is_wanted_to_the_end(config: IBuilderConfig) -> bool:
    """Go through the phases, on a thread of the builder's own; stop where the monitor says so."""
    monitor = config.progress_monitor
    if monitor is None:
        return True
    answers: list[bool] = []

    def go() -> None:
        monitor.phase_start(PHASE, None, len(STEPS))
        for at, name in enumerate(STEPS):
            monitor.phase_start(name, PHASE, 1)
            answers.append(monitor.step_complete(name, 0))
            monitor.phase_finish(name)
            answers.append(all(answers) and monitor.step_complete(PHASE, at))
            if not all(answers):
                break
        monitor.phase_finish(PHASE)

    raised = _in_thread(go)
    if raised is not None:  # the bindings print it and stop the build
        tell(config._logger, ILogger.ERROR, f"Exception caught in step_complete(): {raised!r}")
    return raised is None and all(answers)


def _in_thread(work: Callable[[], None]) -> BaseException | None:
    raised: list[BaseException] = []

    def go() -> None:
        try:
            work()
        except Exception as found:  # noqa: BLE001  # carried to the caller's thread
            raised.append(found)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    return raised[0] if raised else None
