"""OnnxParser: fills a network with an ONNX graph, or says what it does not read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto

from fake_tensorrt.arguments import Undefined, instance, integer, text
from fake_tensorrt.config import Bytes
from fake_tensorrt.enums import ErrorCode
from fake_tensorrt.graphs import UNSUPPORTED, faults, typed
from fake_tensorrt.loggers import alive, error
from fake_tensorrt.network import INetworkDefinition


class ParserError:
    """One thing that the parser did not read."""

    def __init__(self, code: ErrorCode, desc: str, at: int = -1, node: Any = None) -> None:
        self._told = (code, desc, at)
        self._node = node

    def code(self) -> ErrorCode:
        return self._told[0]

    def desc(self) -> str:
        return self._told[1]

    def node(self) -> int:
        return self._told[2]

    def node_name(self) -> str:
        return str(self._node.name) if self._node is not None else ""

    def node_operator(self) -> str:
        return str(self._node.op_type) if self._node is not None else ""

    def file(self) -> str:
        return "ModelImporter.cpp"

    def line(self) -> int:
        return 0

    def func(self) -> str:
        return "parseNode"

    def __str__(self) -> str:
        where = f"In node {self.node()} with name: {self.node_name()} and operator: "
        return f"{where}{self.node_operator()} (parseNode): {self.code().name}: {self.desc()}"

    __repr__ = __str__


class OnnxParser:
    """Reads one graph into one network."""

    _newest_opset: ClassVar[int]
    __slots__ = ("_errors", "_logger", "_network")

    def __init__(self, network: INetworkDefinition, logger: Any) -> None:
        self._network: INetworkDefinition = instance(network, INetworkDefinition, "OnnxParser")
        self._logger = alive(logger, "OnnxParser")
        self._errors: list[ParserError] = []

    def parse(self, model: Bytes, path: str | None = None) -> bool:
        """Read a graph from bytes; weights in other files are looked for beside `path`."""
        if isinstance(model, str):
            raise TypeError("parse: incompatible function arguments: bytes, got str")
        folder = os.path.dirname(text(path, "parse")) if path is not None else None
        return self._take(bytes(memoryview(model)), folder)

    def parse_from_file(self, model: str) -> bool:
        """Read a graph from a file, given as a string."""
        path = Path(text(model, "parse_from_file"))
        if not path.is_file():
            return self._refuse(ErrorCode.MODEL_DESERIALIZE_FAILED, f"cannot open {path.name}")
        return self._take(path.read_bytes(), str(path.parent))

    def _take(self, data: bytes, folder: str | None) -> bool:
        if self._network._model is not None:
            raise Undefined("a network is parsed into once")
        graph = ModelProto()
        try:
            graph.ParseFromString(data)
            if folder is not None:
                onnx.load_external_data_for_model(graph, folder)
            if not graph.graph.node:
                return self._refuse(ErrorCode.MODEL_DESERIALIZE_FAILED, "no graph in it")
        except (DecodeError, OSError, ValueError, onnx.checker.ValidationError) as found:
            return self._refuse(ErrorCode.MODEL_DESERIALIZE_FAILED, str(found))
        try:
            known = typed(graph)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as found:
            return self._refuse(ErrorCode.INVALID_GRAPH, str(found))
        for at, node, code, why in faults(known, self._newest_opset):
            self._refuse(ErrorCode[code], why, at, node)
        if self._errors:
            return False
        self._network._model = known
        self._network.name = known.graph.name or self._network.name
        return True

    def _refuse(self, code: ErrorCode, why: str, at: int = -1, node: Any = None) -> bool:
        self._errors.append(ParserError(code, why, at, node))
        error(self._logger, str(self._errors[-1]))
        return False

    def supports_operator(self, op_name: str) -> bool:
        """Tell whether there is an importer for an operator."""
        return text(op_name, "supports_operator") not in UNSUPPORTED

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        """Return an error; there is none of another index."""
        return self._errors[integer(index, "get_error")]

    def clear_errors(self) -> None:
        """Forget the errors."""
        self._errors.clear()
