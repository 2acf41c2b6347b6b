"""Pairs of QuantizeLinear and DequantizeLinear put into an ONNX graph, and looked for in it.

Standard operations only, which TensorRT and ONNX Runtime both read. A weight is stored in eight
bits, with a DequantizeLinear of its own; an input goes through a pair. Scales have the type of
what they scale, as operation sets before 23 ask for, and are rounded up, so that nothing clips.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any  # ONNX gives no types for its messages

import torch
from torch import Tensor

from engines.errors import BuildError
from engines.spec import FP8

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
HEAVY = ("MatMul", "Gemm", "Conv")
#: What may lie between a weight and the operation that takes it, without a change of its numbers.
_MOVES = ("Transpose", "Reshape", "Identity")
#: The largest number of each format.
_MOST = {FP8: 448.0, "int8": 127.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedLayer:
    """A layer to be given its pairs.

    initializer: name of its weight in the graph. weight: in fp32, laid out as that is. axis: of
    its channels, None for one range. given, reach: the most that input and weight reach.
    """

    name: str
    initializer: str
    weight: Tensor
    axis: int | None
    given: float
    reach: Tensor


def put_pairs(model: Any, layers: Sequence[PairedLayer], precision: str) -> None:
    """Rewrite a graph so that these layers compute in `precision`, "fp8" or "int8".

    Raises BuildError where a weight is not the second input of heavy operations alone.
    """
    graph = _Graph(model, precision)
    for layer in layers:
        graph.quantise(layer)
    graph.sort()


def pair_faults(model: Any, layers: Sequence[PairedLayer]) -> tuple[str, ...]:
    """Return a sentence for each pair that is not where it should be; () if all is well."""
    nodes = list(model.graph.node)
    maker = {name: node for node in nodes for name in node.output}
    wanted = {layer.initializer for layer in layers}
    found: list[str] = []
    paired: set[str] = set()
    for node in (node for node in nodes if node.op_type in HEAVY):
        sides = [_source(name, maker) for name in node.input[:2]]
        are_quantised = [side is not None and side.op_type == DEQUANTIZE for side in sides]
        if any(are_quantised) and not all(are_quantised):
            missing = "its input" if are_quantised[1] else "its weight"
            found.append(f"{node.op_type} {node.name} is quantised by half: not {missing}")
        weight = sides[1]
        if weight is not None and are_quantised[1]:
            paired.add(weight.input[0].removesuffix(_STORED))
    found += [f"{name} is not quantised" for name in sorted(wanted - paired)]
    found += [f"{name} is quantised, and should not be" for name in sorted(paired - wanted)]
    return (*found, *_loose(nodes, maker))


def _loose(nodes: Sequence[Any], maker: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with single operations of pairs."""
    takers = defaultdict(list)
    for node in nodes:
        for name in node.input:
            takers[name].append(node.op_type)
    for node in nodes:
        if node.op_type == QUANTIZE and set(takers[node.output[0]]) != {DEQUANTIZE}:
            yield f"{QUANTIZE} {node.name} has no {DEQUANTIZE} after it"
        before = maker.get(node.input[0]) if node.op_type == DEQUANTIZE else None
        if before is not None and before.op_type != QUANTIZE:
            yield f"{DEQUANTIZE} {node.name} is given a {before.op_type}"


_STORED = "_stored"


class _Graph:
    """A graph that gets pairs, one layer after the other."""

    def __init__(self, model: Any, precision: str) -> None:
        self._onnx: Any = import_module("onnx")
        self._graph = model.graph
        self._most, proto = _MOST[precision], self._onnx.TensorProto
        self._kind = proto.FLOAT8E4M3FN if precision == FP8 else proto.INT8
        self._floats = {
            proto.FLOAT: torch.float32,
            proto.FLOAT16: torch.float16,
            proto.BFLOAT16: torch.bfloat16,
        }
        self._held = {each.name: each for each in self._graph.initializer}
        self._takers: dict[str, list[Any]] = defaultdict(list)
        for node in self._graph.node:
            for name in dict.fromkeys(node.input):
                self._takers[name].append(node)
        #: The pairs that there are, by what they are put on and by their scale.
        self._pairs: dict[tuple[str, float], str] = {}

    def quantise(self, layer: PairedLayer) -> None:
        held = self._held.get(layer.initializer)
        if held is None or held.data_type not in self._floats:
            raise BuildError(f"{layer.name}: the graph has no weight {layer.initializer}")
        if tuple(held.dims) != tuple(layer.weight.shape):
            raise BuildError(
                f"{layer.name}: the graph's weight is {list(held.dims)}, the layer's"
                f" {list(layer.weight.shape)}"
            )
        dtype = self._floats[held.data_type]
        heavy = list(self._heavy(layer, layer.initializer))
        self._store(layer, dtype)
        for node in heavy:
            given = node.input[0]
            scale = _scale(torch.tensor(layer.given), self._most, dtype)
            key = (given, float(scale))
            if key not in self._pairs:
                self._pairs[key] = self._pair(given, scale)
            node.input[0] = self._pairs[key]

    def sort(self) -> None:
        """Put every operation after those that make what it takes."""
        made = {each.name for each in (*self._graph.input, *self._graph.initializer)} | {""}
        maker = {name: node for node in self._graph.node for name in node.output}
        placed: list[Any] = []
        done: set[int] = set()
        for first in self._graph.node:
            stack = [first]
            while stack:
                node = stack[-1]
                lacking = [name for name in node.input if name not in made and name in maker]
                if lacking:
                    stack += [maker[name] for name in lacking]
                    continue
                stack.pop()
                if id(node) not in done:
                    done.add(id(node))
                    placed.append(node)
                    made.update(node.output)
        copies = [self._copied(node) for node in placed]
        del self._graph.node[:]
        self._graph.node.extend(copies)

    def _copied(self, node: Any) -> Any:
        copied = self._onnx.NodeProto()
        copied.CopyFrom(node)
        return copied

    def _heavy(self, layer: PairedLayer, name: str) -> Iterator[Any]:
        """Yield the operations that take a weight; BuildError where others do, too."""
        for node in self._takers[name]:
            if node.op_type in _MOVES:
                yield from self._heavy(layer, node.output[0])
            elif node.op_type in HEAVY and list(node.input[:2]).index(name) == 1:
                yield node
            else:
                raise BuildError(
                    f"{layer.name}: its weight is taken by {node.op_type} {node.name}, which cannot"
                    " be quantised"
                )

    def _store(self, layer: PairedLayer, dtype: torch.dtype) -> None:
        """Exchange a weight for its eight bits, and have them widened under its name."""
        scale = _scale(layer.reach, self._most, dtype)
        shape = [1] * layer.weight.ndim
        if layer.axis is not None:
            shape[layer.axis] = -1
        raw = self._rounded(layer.weight.float() / scale.float().view(shape))
        name = layer.initializer
        self._graph.initializer.remove(self._held.pop(name))
        self._hold(f"{name}{_STORED}", raw, self._kind, layer.weight.shape)
        attributes = {} if layer.axis is None else {"axis": layer.axis}
        scaled = scale if layer.axis is not None else scale.reshape(())
        given = [f"{name}{_STORED}", *self._scales(name, scaled)]
        self._add(DEQUANTIZE, given, name, **attributes)

    def _pair(self, given: str, scale: Tensor) -> str:
        number = len(self._pairs)
        told = self._scales(f"{given}_{number}", scale.reshape(()))
        self._add(QUANTIZE, [given, *told], f"{given}_{number}_quantised")
        self._add(DEQUANTIZE, [f"{given}_{number}_quantised", *told], f"{given}_{number}_widened")
        return f"{given}_{number}_widened"

    def _scales(self, name: str, scale: Tensor) -> list[str]:
        """Hold a scale and its zero, which says what the numbers are stored in."""
        floats = {dtype: kind for kind, dtype in self._floats.items()}
        shape = scale.shape
        self._hold(f"{name}_scale", _raw(scale), floats[scale.dtype], shape)
        zeros = bytes(max(scale.numel(), 1))  # zero is the same byte in both formats
        self._hold(f"{name}_zero", zeros, self._kind, shape)
        return [f"{name}_scale", f"{name}_zero"]

    def _rounded(self, levels: Tensor) -> bytes:
        bounded = levels.clamp(-self._most, self._most)
        if self._kind == self._onnx.TensorProto.INT8:
            return _raw(bounded.round().to(torch.int8))
        return _raw(bounded.to(torch.float8_e4m3fn))

    def _hold(self, name: str, raw: bytes, kind: int, shape: Sequence[int]) -> None:
        tensor = self._onnx.TensorProto(name=name, data_type=kind, dims=shape, raw_data=raw)
        self._graph.initializer.append(tensor)

    def _add(self, kind: str, given: Sequence[str], made: str, **attributes: int) -> None:
        node = self._onnx.helper.make_node(kind, given, [made], name=f"{made}_{kind}", **attributes)
        self._graph.node.append(node)


def _source(name: str, maker: Mapping[str, Any]) -> Any:
    """Return what makes a value, seen through what only moves its numbers; None for weights."""
    node = maker.get(name)
    while node is not None and node.op_type in _MOVES:
        node = maker.get(node.input[0])
    return node


def _scale(reach: Tensor, most: float, dtype: torch.dtype) -> Tensor:
    """Return what one level is worth, at least, in a float type; 1 where there are only zeros."""
    level = reach.float() / most
    rounded = (level * (1 + torch.finfo(dtype).eps)).to(dtype)
    return torch.where(rounded > 0, rounded, torch.ones_like(rounded))


def _raw(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
