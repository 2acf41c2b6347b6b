"""EngineInspector: which layers an engine has, and in which types they compute."""

from __future__ import annotations

import json
from typing import Any

from fake_tensorrt.arguments import instance, integer
from fake_tensorrt.enums import LayerInformationFormat
from fake_tensorrt.graphs import TYPES, element_types

_NAMES = {"FLOAT": "Float", "HALF": "Half", "BF16": "BFloat16", "INT8": "Int8", "FP8": "FP8"}
_NAMES |= {"INT32": "Int32", "INT64": "Int64", "BOOL": "Bool", "UINT8": "UInt8"}


class EngineInspector:
    """Tells only names of layers, unless the engine was built with detailed verbosity."""

    __slots__ = ("_engine", "execution_context")

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.execution_context = None

    def get_layer_information(self, layer_index: int, format: LayerInformationFormat) -> str:
        """Tell of one layer."""
        layer = self._layers()[integer(layer_index, "get_layer_information")]
        return self._told(layer, format)

    def get_engine_information(self, format: LayerInformationFormat) -> str:
        """Tell of all layers, and of the inputs and outputs."""
        return self._told({"Layers": self._layers(), "Bindings": list(self._engine._ports)}, format)

    def _told(self, what: Any, format: LayerInformationFormat) -> str:
        instance(format, LayerInformationFormat, "get_engine_information")
        return json.dumps(what, indent=2) if format == LayerInformationFormat.JSON else str(what)

    def _layers(self) -> list[Any]:
        model = self._engine._model
        kinds = element_types(model)

        def tensors(names: Any) -> list[dict[str, str]]:
            known = [name for name in names if kinds.get(name) in TYPES]
            types = [TYPES[kinds[name]].name for name in known]
            pairs = zip(known, types, strict=True)
            return [{"Name": name, "Format/Datatype": _NAMES[kind]} for name, kind in pairs]

        return [
            {
                "Name": node.name,
                "LayerType": node.op_type,
                "Inputs": tensors(node.input),
                "Outputs": tensors(node.output),
            }
            if self._engine._plan.is_detailed
            else node.name
            for node in model.graph.node
        ]
