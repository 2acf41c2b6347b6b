"""A network written down to be looked into: graph, inputs, and what torch makes of them in fp32.

Knows no runtime: `debugging_runs.py` has the graph run, and finds the first layer that goes wrong.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any  # ONNX gives no types for its messages

import torch
from torch import Tensor, nn

from engines.export import MODEL, save_onnx
from engines.narrowing import PREFIX
from engines.spec import EngineSpec
from engines.typed_lint import faults
from engines.typed_onnx import typed_graph
from engines.verify import sample_inputs

_SCOPES = "pkg.torch.onnx.name_scopes"
_OUTSIDE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """An ONNX file. values: what its layers give, by the modules' names, in the file's order."""

    path: Path
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network in a folder. Layers, then outputs, have the names of modules and specification.

    graph: typed, as TensorRT gets it; faults: what the lint has against it. runnable: what ONNX
    Runtime has kernels for: the same, or in fp32 where that is bf16. answers: of torch in fp32.
    """

    spec: EngineSpec
    folder: Path
    graph: Graph
    runnable: Graph
    faults: tuple[str, ...]
    inputs: Mapping[str, Tensor]
    answers: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What a graph is made of. operators: how often each, by the type that it gives."""

    opset: int
    nodes: int
    size_bytes: int
    operators: Mapping[str, Mapping[str, int]]


def write_case(
    spec: EngineSpec, module: nn.Module, folder: Path, *, seed: int = 0, layers: bool = False
) -> Case:
    """Write a network's graph and its weights map into a folder, though the lint finds faults.

    module: fp32 on the CPU; its inputs are drawn by the seed. layers: look at these, too. Raises
    BuildError where torch or ONNX cannot write it.
    """
    names = [name for name, _ in module.named_modules() if name] if layers else []
    found, graph = _written(spec, module, folder / MODEL, names=names)
    runnable = graph
    if spec.precision == "bf16":  # of which ONNX Runtime has nothing on a CPU
        full = replace(spec, precision="fp32")
        (folder / "fp32").mkdir(exist_ok=True)
        _, runnable = _written(full, module, folder / "fp32" / MODEL, names=names)
    inputs = sample_inputs(spec, seed=seed)
    return Case(
        spec=spec,
        folder=folder,
        graph=graph,
        runnable=runnable,
        faults=found,
        inputs=inputs,
        answers=_answers(spec, module, inputs, names=set(graph.values) | set(runnable.values)),
    )


def inspect(path: Path) -> Inspected:
    """Count the operators of an ONNX file; size_bytes: with the file of its weights, if any."""
    onnx: Any = import_module("onnx")
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    kinds = {
        value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)
    }
    operators: dict[str, Counter[str]] = defaultdict(Counter)
    for node in graph.node:
        kind = onnx.TensorProto.DataType.Name(kinds.get(node.output[0], 0))
        operators[kind][node.op_type] += 1
    files = path.parent.glob(f"{path.name}*")
    (opset,) = (each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    return Inspected(
        opset=opset,
        nodes=len(graph.node),
        size_bytes=sum(file.stat().st_size for file in files),
        operators={kind: dict(count.most_common()) for kind, count in operators.items()},
    )


def layer_values(model: Any, names: Iterable[str]) -> dict[str, str]:
    """Return for modules the one value that leaves what became of each, in the graph's order.

    model: an onnx.ModelProto. A module is left out that was called twice, gives several values, or
    was drawn into others: its value is not to be told from theirs.
    """
    inside: dict[str, set[int]] = defaultdict(set)
    readers: dict[str, set[int]] = defaultdict(set)
    for at, node in enumerate(model.graph.node):
        for scope in _scopes(node):
            inside[scope].add(at)
        for name in node.input:
            readers[name].add(at)
    for value in model.graph.output:
        readers[value.name].add(_OUTSIDE)
    found: dict[int, tuple[str, str]] = {}
    for name in names:
        held = inside.get(f"{PREFIX}{name}", set())
        made = [(at, value) for at in held for value in model.graph.node[at].output]
        left = [(at, value) for at, value in made if readers[value] - held]
        if len(left) == 1:
            # Of modules that give the same value, the inner one comes last and says it best.
            found[left[0][0]] = (name, left[0][1])
    return dict(found[at] for at in sorted(found))


def _scopes(node: Any) -> Iterable[str]:
    """Return the modules that a node came from, as torch notes them: the text of a list."""
    for each in node.metadata_props:
        if each.key == _SCOPES:
            return [scope.strip(" '\"") for scope in each.value.strip("[]").split(",")]
    return ()


def _written(
    spec: EngineSpec, module: nn.Module, path: Path, *, names: Iterable[str]
) -> tuple[tuple[str, ...], Graph]:
    graph = typed_graph(spec, module)
    model = graph.proto()
    save_onnx(spec, graph, path, prefix=PREFIX)
    return faults(model, spec), Graph(path=path, values=layer_values(model, names))


def _answers(
    spec: EngineSpec, module: nn.Module, inputs: Mapping[str, Tensor], *, names: set[str]
) -> dict[str, Tensor]:
    """Run a module; return what its parts of these names gave, and its outputs."""
    given: dict[str, Tensor] = {}

    def keep(name: str) -> Any:  # torch has a type of its own for these
        def hook(_: nn.Module, __: object, made: object) -> None:
            first = made[0] if isinstance(made, tuple) else made
            if isinstance(first, Tensor) and first.is_floating_point():
                given[name] = first.detach().clone()  # the next layer may work in place

        return hook

    hooks = [
        part.register_forward_hook(keep(name))
        for name, part in module.named_modules()
        if name in names
    ]
    try:
        with torch.inference_mode():
            made = module.eval()(*(inputs[tensor.name] for tensor in spec.inputs))
    finally:
        for hook in hooks:
            hook.remove()
    results = made if isinstance(made, tuple | list) else (made,)
    outputs = zip((tensor.name for tensor in spec.outputs), results, strict=True)
    return given | dict(outputs)
