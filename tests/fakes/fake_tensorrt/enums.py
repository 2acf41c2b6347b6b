"""The enumerations of TensorRT's Python bindings, as two generations of it have them."""

from __future__ import annotations

import enum


class Plain(enum.Enum):
    """One that only gives its number when asked by `int`."""

    def __int__(self) -> int:
        return int(self.value)

    __index__ = __int__


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class DataType(Plain):
    FLOAT = 0
    HALF = 1
    INT8 = 2
    INT32 = 3
    BOOL = 4
    UINT8 = 5
    FP8 = 6
    BF16 = 7
    INT64 = 8
    INT4 = 9
    FP4 = 10
    E8M0 = 11

    @property
    def itemsize(self) -> float | None:
        return _SIZES.get(self.name)


_SIZES = {"FLOAT": 4, "HALF": 2, "BF16": 2, "INT8": 1, "INT32": 4, "INT64": 8, "BOOL": 1}
_SIZES |= {"UINT8": 1, "FP8": 1, "INT4": 0.5, "FP4": 0.5}

#: Names that the module itself gives to some data types.
SHORT = {
    "float32": DataType.FLOAT,
    "float16": DataType.HALF,
    "bfloat16": DataType.BF16,
    "int8": DataType.INT8,
    "int32": DataType.INT32,
    "int64": DataType.INT64,
    "bool": DataType.BOOL,
    "uint8": DataType.UINT8,
    "fp8": DataType.FP8,
    "int4": DataType.INT4,
    "fp4": DataType.FP4,
    "e8m0": DataType.E8M0,
}


class TensorIOMode(Plain):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorLocation(Plain):
    DEVICE = 0
    HOST = 1


class TensorFormat(enum.IntEnum):
    LINEAR = 0


class LayerInformationFormat(Plain):
    ONELINE = 0
    JSON = 1


class ProfilingVerbosity(Plain):
    LAYER_NAMES_ONLY = 0
    NONE = 1
    DETAILED = 2


class HardwareCompatibilityLevel(Plain):
    NONE = 0
    AMPERE_PLUS = 1
    SAME_COMPUTE_CAPABILITY = 2


class ExecutionContextAllocationStrategy(enum.IntEnum):
    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


class SerializationFlag(enum.IntEnum):
    EXCLUDE_WEIGHTS = 0
    EXCLUDE_LEAN_RUNTIME = 1
    INCLUDE_REFIT = 2


class EngineStat(enum.IntEnum):
    TOTAL_WEIGHTS_SIZE = 0
    STRIPPED_WEIGHTS_SIZE = 1


class MemoryPoolType(Plain):
    WORKSPACE = 0
    DLA_MANAGED_SRAM = 1
    DLA_LOCAL_DRAM = 2
    DLA_GLOBAL_DRAM = 3
    TACTIC_DRAM = 4
    TACTIC_SHARED_MEMORY = 5


class TilingOptimizationLevel(Plain):
    NONE = 0
    FAST = 1
    MODERATE = 2
    FULL = 3


class ErrorCode(Plain):
    """Those of the ONNX parser."""

    SUCCESS = 0
    INTERNAL_ERROR = 1
    MEM_ALLOC_FAILED = 2
    MODEL_DESERIALIZE_FAILED = 3
    INVALID_VALUE = 4
    INVALID_GRAPH = 5
    INVALID_NODE = 6
    UNSUPPORTED_GRAPH = 7
    UNSUPPORTED_NODE = 8
    UNSUPPORTED_NODE_DATATYPE = 11


#: The same in both generations.
COMMON = (
    DataType,
    TensorIOMode,
    TensorLocation,
    TensorFormat,
    LayerInformationFormat,
    ProfilingVerbosity,
    HardwareCompatibilityLevel,
    ExecutionContextAllocationStrategy,
    SerializationFlag,
    EngineStat,
    MemoryPoolType,
    TilingOptimizationLevel,
    ErrorCode,
)

_FLAGS_10 = """FP16=0 INT8=1 DEBUG=2 GPU_FALLBACK=3 REFIT=4 DISABLE_TIMING_CACHE=5 TF32=6
    SPARSE_WEIGHTS=7 SAFETY_SCOPE=8 OBEY_PRECISION_CONSTRAINTS=9 PREFER_PRECISION_CONSTRAINTS=10
    DIRECT_IO=11 REJECT_EMPTY_ALGORITHMS=12 VERSION_COMPATIBLE=13 EXCLUDE_LEAN_RUNTIME=14 FP8=15
    ERROR_ON_TIMING_CACHE_MISS=16 BF16=17 DISABLE_COMPILATION_CACHE=18 STRIP_PLAN=19 WEIGHTLESS=19
    REFIT_IDENTICAL=20 WEIGHT_STREAMING=21 INT4=22 REFIT_INDIVIDUAL=23 STRICT_NANS=24
    MONITOR_MEMORY=25 FP4=26 EDITABLE_TIMING_CACHE=27 DISTRIBUTIVE_INDEPENDENCE=28"""
_FLAGS_11 = """DEBUG=2 GPU_FALLBACK=3 REFIT=4 DISABLE_TIMING_CACHE=5 TF32=6 SPARSE_WEIGHTS=7
    SAFETY_SCOPE=8 DIRECT_IO=11 VERSION_COMPATIBLE=12 EXCLUDE_LEAN_RUNTIME=13
    ERROR_ON_TIMING_CACHE_MISS=15 DISABLE_COMPILATION_CACHE=17 STRIP_PLAN=18 REFIT_IDENTICAL=19
    WEIGHT_STREAMING=20 REFIT_INDIVIDUAL=22 STRICT_NANS=23 MONITOR_MEMORY=24
    EDITABLE_TIMING_CACHE=26 DISTRIBUTIVE_INDEPENDENCE=27"""
_NETWORK_10 = """EXPLICIT_BATCH=0 STRONGLY_TYPED=1 PREFER_JIT_PYTHON_PLUGINS=2
    PREFER_AOT_PYTHON_PLUGINS=3"""
_NETWORK_11 = "STRONGLY_TYPED=0 PREFER_JIT_PYTHON_PLUGINS=1 PREFER_AOT_PYTHON_PLUGINS=2"
#: With a strongly typed network these are refused: its types are those of its graph.
WEAK_FLAGS = ("FP16", "BF16", "INT8", "FP8", "INT4", "FP4")
WEAK_FLAGS += ("OBEY_PRECISION_CONSTRAINTS", "PREFER_PRECISION_CONSTRAINTS")


def flags(name: str, members: str) -> type[enum.IntEnum]:
    pairs = (member.split("=") for member in members.split())
    made = enum.IntEnum(name, {key: int(number) for key, number in pairs})  # type: ignore[misc]
    return made


#: Per major version: the flags of a build, and those of a network.
BUILDER_FLAGS = {10: flags("BuilderFlag", _FLAGS_10), 11: flags("BuilderFlag", _FLAGS_11)}
NETWORK_FLAGS = {
    10: flags("NetworkDefinitionCreationFlag", _NETWORK_10),
    11: flags("NetworkDefinitionCreationFlag", _NETWORK_11),
}
