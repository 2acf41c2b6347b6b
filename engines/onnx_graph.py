"""An ONNX graph with its weights apart, so that each stays what its name says; no backend.

While torch simplifies a graph it merges equal weights and computes with small ones. A weight that
is to be exchanged later must be one initializer, and of that weight alone: it is held back.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any  # torch and onnx_ir leave the types of programs and graphs open

import torch
from torch import Tensor

from engines.errors import BuildError
from engines.spec import EngineSpec

# One file of protobuf ends at 2 GB.
_EXTERNAL_BYTES = 1_500_000_000
_LOGGERS = ("torch.onnx", "onnx_ir", "onnxscript")


@dataclass(frozen=True, slots=True, kw_only=True)
class Initializer:
    """Where a weight is in a graph: alone there, in its dtype, its two sides exchanged or not."""

    name: str
    transposed: bool
    dtype: str


class OnnxGraph:
    """A graph whose weights have names, dtypes and shapes, and no content until it is saved.

    written: torch's, simplified. weights: by their names in the program.
    """

    def __init__(
        self, written: Any, weights: Mapping[str, Tensor], *, unused: frozenset[str]
    ) -> None:
        self.graph: Any = written.model.graph
        self._written: Any = written
        self._weights = weights
        self._unused = unused
        self._turned = _turned(self.graph, weights.keys())

    @property
    def initializers(self) -> dict[str, Initializer]:
        """Say which initializer holds which weight; those that torch tied share one."""
        held = {name: name for name in self._weights if name in self.graph.initializers}
        places = {_place(self._weights[name]): name for name in held}
        tied = {name: places.get(_place(value)) for name, value in self._weights.items()}
        return {
            name: Initializer(
                name=at,
                transposed=at in self._turned,
                dtype=str(self._weights[name].dtype).removeprefix("torch."),
            )
            for name in self._weights
            if (at := held.get(name) or tied[name]) is not None
        }

    def weights_map(self, prefix: str = "") -> dict[str, object]:
        """Say the same as plain data; prefix: of the names, left out.

        "weights": by torch's name "initializer", "transposed" and "dtype". "unused": those that
        nothing is computed from. "folded": those that are no initializer of their own any more.
        """
        found = self.initializers
        lost = self._weights.keys() - found.keys() - self._unused
        told = {
            name.removeprefix(prefix): {
                "initializer": at.name,
                "transposed": at.transposed,
                "dtype": at.dtype,
            }
            for name, at in found.items()
        }
        unused = self._unused - found.keys()
        return {
            "weights": told,
            "unused": sorted(name.removeprefix(prefix) for name in unused),
            "folded": sorted(name.removeprefix(prefix) for name in lost),
        }

    def proto(self) -> Any:
        """Return the onnx.ModelProto; its weights are told of, and are in no file."""
        ir: Any = import_module("onnx_ir")
        for name, value in self._held():
            value.const_value = ir.ExternalTensor(
                "weights", 0, 0, value.dtype, shape=value.shape, name=name
            )
        try:
            return ir.to_proto(self._written.model)
        finally:
            self._let_go()

    def save(self, path: Path) -> None:
        """Write the graph with its weights, above 1.5 GB into a file of their own beside it."""
        adapters: Any = import_module("onnx_ir.tensor_adapters")
        size = 0
        for name, value in self._held():
            weight = self._weights[name].detach()
            given = weight.t() if name in self._turned else weight
            value.const_value = adapters.TorchTensor(given, name=name)
            size += weight.nbytes
        try:
            with quiet():
                self._written.save(path, external_data=size > _EXTERNAL_BYTES)
        finally:
            self._let_go()

    def _held(self) -> Iterator[tuple[str, Any]]:
        initializers = self.graph.initializers
        return ((name, initializers[name]) for name in self._weights if name in initializers)

    def _let_go(self) -> None:
        for _, value in self._held():
            value.const_value = None


def translated(spec: EngineSpec, program: torch.export.ExportedProgram, *, opset: int) -> OnnxGraph:
    """Return a program as an ONNX graph with the names of a specification.

    Raises BuildError where ONNX has no words for it.
    """
    weights = {name: value for name, value in program.state_dict.items() if _can_change(value)}
    with quiet():
        try:
            written = torch.onnx.export(
                program,
                input_names=[tensor.name for tensor in spec.inputs],
                output_names=[tensor.name for tensor in spec.outputs],
                opset_version=opset,
                dynamo=True,
                optimize=False,
                verbose=False,
            )
            assert written is not None  # it is None only for the exporter without dynamo
            initializers: Any = written.model.graph.initializers
            held = [initializers[name] for name in weights if name in initializers]
            unused = weights.keys() - {value.name for value in held if value.uses()}
            for value in held:
                value.const_value = None
            _simplify(written)
        # torch.onnx has types of its own for each step, and passes on those of what it uses
        except Exception as error:
            told = str(_root(error)).split("\n\n")[0]
            raise BuildError(f"{spec.role}: torch cannot write it as ONNX: {told}") from error
    return OnnxGraph(written, weights, unused=frozenset(unused))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch from telling people about libraries that it lacks and its own deprecations."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _can_change(value: Tensor) -> bool:
    """Tell whether a value is a weight: not one of the numbers that shapes come from."""
    return value.is_floating_point()


def _simplify(written: Any) -> None:
    optimizer: Any = import_module("onnxscript.optimizer")
    passes: Any = import_module("onnx_ir.passes.common")
    # torch looks for its patterns among all nodes again and again: without constants among them
    # that is 13 s of computing for SDXL's UNet, not 48 s.
    optimizer.fold_constants(written.model)
    passes.RemoveUnusedNodesPass()(written.model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(written.model)
    written.optimize()
    _keep_numbers(written.model.graph)


def _keep_numbers(graph: Any) -> None:
    """Make the bounds of clamps part of the graph: those of a second one are in nobody's hands.

    So onnxscript 0.7 leaves them where one value is clamped twice.
    """
    for node in graph:
        for value in node.inputs:
            if value is None or value.const_value is None or value.producer() is not None:
                continue
            if value.name not in graph.initializers:
                graph.register_initializer(value)


def _turned(graph: Any, names: Any) -> frozenset[str]:
    """Exchange the sides of those weights that are only used so; return their names.

    A compiler finds a weight by its name only where it is what an operation is given.
    """
    found = set()
    for node in list(graph):
        value = node.inputs[0] if node.op_type == "Transpose" else None
        if value is None or value.name not in names or len(value.uses()) > 1:
            continue
        order = node.attributes.get("perm")
        if len(value.shape) != 2 or (order is not None and list(order.as_ints()) != [1, 0]):
            continue
        (made,) = node.outputs
        value.shape = made.shape
        made.replace_all_uses_with(value)
        graph.remove(node, safe=True)
        found.add(value.name)
    return frozenset(found)


def _place(value: Tensor) -> tuple[object, ...]:
    fake = value.device.type == "meta"
    at = id(value) if fake else value.data_ptr()
    return at, value.shape, value.stride()


def _root(error: BaseException) -> BaseException:
    return _root(error.__cause__) if error.__cause__ else error
