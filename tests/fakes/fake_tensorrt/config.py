"""IBuilderConfig and IProgressMonitor: how a network is to be built."""

from __future__ import annotations

from typing import Any, ClassVar

from fake_tensorrt.arguments import Undefined, instance, integer
from fake_tensorrt.enums import (
    HardwareCompatibilityLevel,
    MemoryPoolType,
    ProfilingVerbosity,
    TilingOptimizationLevel,
)
from fake_tensorrt.foundation import IHostMemory
from fake_tensorrt.loggers import ILogger, error, tell
from fake_tensorrt.profiles import IOptimizationProfile
from fake_tensorrt.timing import ITimingCache

Bytes = bytes | bytearray | memoryview | IHostMemory


class IProgressMonitor:
    """A base class for the caller's own, which is called from the builder's threads."""

    def __init__(self) -> None:
        self._is_born = True

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        raise Undefined("pure virtual function IProgressMonitor::phaseStart was called")

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise Undefined("pure virtual function IProgressMonitor::stepComplete was called")

    def phase_finish(self, phase_name: str) -> None:
        raise Undefined("pure virtual function IProgressMonitor::phaseFinish was called")


class IBuilderConfig:
    """Flags, limits and profiles; what it does not know cannot be set."""

    _flag_type: ClassVar[type]
    __slots__ = (
        "_cache",
        "_flags",
        "_header",
        "_level",
        "_logger",
        "_monitor",
        "_pools",
        "_profiles",
        "_streams",
        "_tiling",
        "_verbosity",
        "avg_timing_iterations",
        "hardware_compatibility_level",
    )

    def __init__(self) -> None:
        raise TypeError("IBuilderConfig: No constructor defined!")

    @classmethod
    def _made(cls, logger: ILogger, header: list[str]) -> IBuilderConfig:
        config = cls.__new__(cls)
        config._logger, config._header = logger, header
        config.reset()
        return config

    def reset(self) -> None:
        """Go back to what it was made with."""
        self._flags: set[Any] = {self._flag_type["TF32"]}
        self._pools: dict[MemoryPoolType, int] = {}
        self._profiles: list[IOptimizationProfile] = []
        self._cache: ITimingCache | None = None
        self._monitor: IProgressMonitor | None = None
        self._level, self._streams = 3, -1
        self._verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        self._tiling = TilingOptimizationLevel.NONE
        self.avg_timing_iterations = 1
        self.hardware_compatibility_level = HardwareCompatibilityLevel.NONE

    def set_flag(self, flag: Any) -> None:
        """Turn a flag on."""
        self._flags.add(instance(flag, self._flag_type, "set_flag"))

    def clear_flag(self, flag: Any) -> None:
        """Turn a flag off."""
        self._flags.discard(instance(flag, self._flag_type, "clear_flag"))

    def get_flag(self, flag: Any) -> bool:
        """Tell whether a flag is on."""
        return instance(flag, self._flag_type, "get_flag") in self._flags

    @property
    def flags(self) -> int:
        return sum(1 << int(flag) for flag in self._flags)

    @flags.setter
    def flags(self, bits: int) -> None:
        self._flags = {flag for flag in self._flag_type if integer(bits, "flags") >> flag & 1}

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        """Limit a pool of memory, in bytes."""
        size = integer(pool_size, "set_memory_pool_limit")
        if size < 0:
            raise TypeError(f"set_memory_pool_limit: incompatible function arguments: {size}")
        self._pools[instance(pool, MemoryPoolType, "set_memory_pool_limit")] = size

    def get_memory_pool_limit(self, pool: MemoryPoolType) -> int:
        """Return the limit of a pool; there is as much as the GPU has where none was set."""
        return self._pools.get(instance(pool, MemoryPoolType, "get_memory_pool_limit"), 1 << 37)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        """Add a profile and return its index; -1 where it has no shapes."""
        if not instance(profile, IOptimizationProfile, "add_optimization_profile"):
            error(self._logger, "IBuilderConfig::addOptimizationProfile: the profile is not valid")
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    @property
    def builder_optimization_level(self) -> int:
        return self._level

    @builder_optimization_level.setter
    def builder_optimization_level(self, level: int) -> None:
        if integer(level, "builder_optimization_level") < 0:
            error(self._logger, f"builder optimization level {level} is not valid")
            return
        self._level = min(level, 5)

    @property
    def max_aux_streams(self) -> int:
        return self._streams

    @max_aux_streams.setter
    def max_aux_streams(self, count: int) -> None:
        self._streams = integer(count, "max_aux_streams")

    @property
    def profiling_verbosity(self) -> ProfilingVerbosity:
        return self._verbosity

    @profiling_verbosity.setter
    def profiling_verbosity(self, verbosity: ProfilingVerbosity) -> None:
        self._verbosity = instance(verbosity, ProfilingVerbosity, "profiling_verbosity")

    @property
    def tiling_optimization_level(self) -> TilingOptimizationLevel:
        return self._tiling

    @tiling_optimization_level.setter
    def tiling_optimization_level(self, level: TilingOptimizationLevel) -> None:
        self._tiling = instance(level, TilingOptimizationLevel, "tiling_optimization_level")

    @property
    def progress_monitor(self) -> IProgressMonitor | None:
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, monitor: IProgressMonitor | None) -> None:
        if monitor is not None and not instance(monitor, IProgressMonitor, "m").__dict__.get(
            "_is_born"
        ):
            raise TypeError("IProgressMonitor.__init__() must be called when overriding __init__")
        self._monitor = monitor

    def create_timing_cache(self, serialized_timing_cache: Bytes) -> ITimingCache | None:
        """Read a timing cache, or make an empty one of no bytes; None where it is no good."""
        data = bytes(memoryview(serialized_timing_cache))
        try:
            return ITimingCache._made(data, list(self._header))
        except (ValueError, KeyError, TypeError) as found:
            error(self._logger, f"createTimingCache: the header is not one: {found}")
            return None

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        """Look up and add to a cache; refused from another version, and from another GPU."""
        header = instance(cache, ITimingCache, "set_timing_cache")._header
        if header[0] != self._header[0] or (header != self._header and not ignore_mismatch):
            tell(self._logger, ILogger.WARNING, "timing cache: mismatched version or device")
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> ITimingCache | None:
        """Return the cache that is in use."""
        return self._cache
