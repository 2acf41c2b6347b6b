"""INetworkDefinition and ITensor: what a parser has filled in, to be looked at."""

from __future__ import annotations

from typing import Any, ClassVar

from onnx import ModelProto, ValueInfoProto

from fake_tensorrt.arguments import instance, integer
from fake_tensorrt.enums import DataType
from fake_tensorrt.foundation import Dims
from fake_tensorrt.graphs import TYPES
from fake_tensorrt.loggers import ILogger


class ITensor:
    """An input or an output of a network."""

    __slots__ = ("_is_input", "_value")

    def __init__(self, value: ValueInfoProto, *, is_input: bool) -> None:
        self._value, self._is_input = value, is_input

    @property
    def name(self) -> str:
        return str(self._value.name)

    @property
    def shape(self) -> Dims:
        return Dims(shape_of(self._value))

    @property
    def dtype(self) -> DataType:
        return TYPES[self._value.type.tensor_type.elem_type]

    @property
    def is_network_input(self) -> bool:
        return self._is_input

    @property
    def is_network_output(self) -> bool:
        return not self._is_input


class INetworkDefinition:
    """A network that knows its types: strongly typed, or not."""

    _flag_type: ClassVar[type]
    __slots__ = ("_builder", "_flags", "_is_strong", "_logger", "_model", "_refittable", "name")

    def __init__(self) -> None:
        raise TypeError("INetworkDefinition: No constructor defined!")

    @classmethod
    def _made(
        cls, builder: Any, logger: ILogger, *, flags: int, is_strong: bool
    ) -> INetworkDefinition:
        network = cls.__new__(cls)
        network._builder, network._logger = builder, logger
        network._flags, network._is_strong = flags, is_strong
        network._model: ModelProto | None = None
        network._refittable: set[str] = set()
        network.name = "Unnamed Network 0"
        return network

    @property
    def builder(self) -> Any:
        return self._builder

    @property
    def flags(self) -> int:
        return self._flags

    def get_flag(self, flag: Any) -> bool:
        """Tell whether the network was created with a flag."""
        return bool(self._flags >> int(instance(flag, self._flag_type, "get_flag")) & 1)

    @property
    def num_layers(self) -> int:
        return len(self._model.graph.node) if self._model else 0

    @property
    def num_inputs(self) -> int:
        return len(self._model.graph.input) if self._model else 0

    @property
    def num_outputs(self) -> int:
        return len(self._model.graph.output) if self._model else 0

    def get_input(self, index: int) -> ITensor | None:
        """Return an input, or None where there is none of that index."""
        at = integer(index, "get_input")
        if not 0 <= at < self.num_inputs or self._model is None:
            return None
        return ITensor(self._model.graph.input[at], is_input=True)

    def get_output(self, index: int) -> ITensor | None:
        """Return an output, or None where there is none of that index."""
        at = integer(index, "get_output")
        if not 0 <= at < self.num_outputs or self._model is None:
            return None
        return ITensor(self._model.graph.output[at], is_input=False)


def shape_of(value: ValueInfoProto) -> tuple[int, ...]:
    """Return a value's shape, with -1 for what is known only when it runs."""
    found = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else -1 for d in found)
