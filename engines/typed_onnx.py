"""ONNX files that say themselves what each operation computes in, for strongly typed compilers.

The module is cast before it is traced, so the graph needs no precision flags, which TensorRT 11 has
no more. What must be exact stays float32: timesteps up to their first layer, the statistics of
norms, and the tensors outside where the specification says so.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from engines.errors import BuildError
from engines.export import OPSET, exported, save_onnx
from engines.narrowing import PREFIX, narrowed
from engines.onnx_graph import OnnxGraph, translated
from engines.spec import EngineSpec
from engines.typed_casts import cast_at_the_edges, cast_what_is_joined, quantise_at_the_edges
from engines.typed_einsum import multiply_matrices
from engines.typed_lint import faults

_TOLD = 3
_BF16_FROM = 22


def write_typed(spec: EngineSpec, module: nn.Module, path: Path, *, opset: int = OPSET) -> None:
    """Write a module as ONNX that computes in the specification's precision, and look it over.

    module: on the CPU, plain or an exported program's; it stays as it is. Beside the file comes
    `export.WEIGHTS_MAP` with the names that weights have in the module. Raises BuildError where
    the graph is another than what was asked for.
    """
    graph = typed_graph(spec, module, opset=opset)
    found = faults(graph.proto(), spec)
    if found:
        more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        told = "; ".join(found[:_TOLD])
        raise BuildError(f"{spec.role}: not the {spec.precision} graph asked for: {told}{more}")
    save_onnx(spec, graph, path, prefix=PREFIX)


def typed_graph(spec: EngineSpec, module: nn.Module, *, opset: int = OPSET) -> OnnxGraph:
    """Return the graph that is to be written; of weights it knows names, dtypes and shapes.

    module: as above; with `torch.device("meta")` around the call, one without weights will do.
    """
    if spec.precision == "bf16" and opset < _BF16_FROM:
        told = f"ONNX has convolutions in bf16 from opset {_BF16_FROM} on: use {OPSET}"
        raise BuildError(f"{spec.role}: bf16 in opset {opset}: {told}")
    program = exported(spec, narrowed(spec, module))
    graph = translated(spec, program, opset=opset)
    multiply_matrices(graph.graph)
    cast_what_is_joined(graph.graph)
    cast_at_the_edges(graph.graph)
    quantise_at_the_edges(graph.graph)
    return graph
