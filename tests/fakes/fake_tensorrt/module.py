"""The parts of the double put together as one version of the module has them."""

from __future__ import annotations

import enum
from types import ModuleType

from fake_tensorrt import enums
from fake_tensorrt.builder import Builder
from fake_tensorrt.config import IBuilderConfig, IProgressMonitor
from fake_tensorrt.context import IExecutionContext
from fake_tensorrt.engine import ICudaEngine, ISerializationConfig
from fake_tensorrt.foundation import Dims, IHostMemory, Weights
from fake_tensorrt.gpu import Gpu
from fake_tensorrt.graphs import NEWEST
from fake_tensorrt.inspector import EngineInspector
from fake_tensorrt.loggers import ILogger, Logger
from fake_tensorrt.network import INetworkDefinition, ITensor
from fake_tensorrt.parser import OnnxParser, ParserError
from fake_tensorrt.profiles import IOptimizationProfile
from fake_tensorrt.refitter import Refitter
from fake_tensorrt.runtime import Runtime
from fake_tensorrt.timing import ITimingCache

#: Short names of versions that tests go over.
VERSIONS = {"10.14": "10.14.1.48", "11.3": "11.3.0.99", "11.4": "11.4.0.106"}
_SAME = (
    Dims,
    EngineInspector,
    ICudaEngine,
    IExecutionContext,
    IHostMemory,
    ILogger,
    IOptimizationProfile,
    IProgressMonitor,
    ISerializationConfig,
    ITensor,
    ITimingCache,
    Logger,
    ParserError,
    Refitter,
    Weights,
)


def load(
    version: str, *, gpu: Gpu | None | bool = True, newest_opset: int | None = None
) -> ModuleType:
    """Return what `import tensorrt` gives, of a version.

    gpu: None where the driver is missing. newest_opset: that its parser reads.
    """
    full = VERSIONS.get(version, version)
    major = 10 if int(full.split(".")[0]) <= 10 else 11
    device = Gpu() if gpu is True else gpu or None
    builder_flag, network_flag = _flags(major)
    config = _made(IBuilderConfig, _flag_type=builder_flag)
    network = _made(INetworkDefinition, _flag_type=network_flag)
    here = {"_gpu": device, "_version": full}
    named: dict[str, object] = {kind.__name__: kind for kind in (*_SAME, *enums.COMMON)}
    named |= enums.SHORT
    named |= {
        "BuilderFlag": builder_flag,
        "NetworkDefinitionCreationFlag": network_flag,
        "IBuilderConfig": config,
        "INetworkDefinition": network,
        "Builder": _made(Builder, _config_type=config, _network_type=network, **here),
        "Runtime": _made(Runtime, **here),
        "OnnxParser": _made(OnnxParser, _newest_opset=newest_opset or NEWEST[major]),
        "__version__": full,
    }
    module = ModuleType("tensorrt", "A test double, not TensorRT.")
    module.__dict__.update(named)
    return module


def _flags(major: int) -> tuple[type[enum.IntEnum], type[enum.IntEnum]]:
    return enums.BUILDER_FLAGS[major], enums.NETWORK_FLAGS[major]


def _made(kind: type, **told: object) -> type:
    """Return a class as one version has it."""
    return type(kind.__name__, (kind,), {"__slots__": (), **told})
