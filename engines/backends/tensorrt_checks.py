"""Whether an engine is what was asked for: its tensors, and what its layers compute in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any  # TensorRT's bindings carry no types; JSON

from engines.backends.tensorrt_library import Library
from engines.errors import ArtifactError, EngineError
from engines.spec import QUANTISED, EngineSpec, TensorSpec

#: What TensorRT calls the dtypes of a specification.
DTYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "float32": "FLOAT",
    "float16": "HALF",
    "bfloat16": "BF16",
}
_HEAVY = re.compile("conv|gemm|matmul|matrixmul|matrix_mul|attention|mha")
# Words for floats in what the inspector says of a tensor, the longer ones first.
_WORDS = {
    "bfloat16": "bf16",
    "bf16": "bf16",
    "fp16": "fp16",
    "half": "fp16",
    "fp8": "fp8",
    "int8": "int8",
    "float": "fp32",
    "fp32": "fp32",
}


def check_tensors(library: Library, engine: Any, spec: EngineSpec) -> None:
    """Raise ArtifactError where names, dtypes or shapes are not those of the specification."""
    trt = library.trt
    names = [engine.get_tensor_name(at) for at in range(engine.num_io_tensors)]
    wanted = (
        *((tensor, trt.TensorIOMode.INPUT) for tensor in spec.inputs),
        *((tensor, trt.TensorIOMode.OUTPUT) for tensor in spec.outputs),
    )
    if set(names) != {tensor.name for tensor, _ in wanted}:
        required = sorted(tensor.name for tensor, _ in wanted)
        raise ArtifactError(f"{spec.role}: engine has tensors {sorted(names)}; required {required}")
    for tensor, mode in wanted:
        _check(trt, engine, tensor, mode, spec.role)


def computes_in(library: Library, engine: Any, spec: EngineSpec, built: str) -> str:
    """Return the precision of an engine, as it was built, where its layers do not deny it.

    built: what the graph was written in. Raises EngineError where the inspector names the types of
    heavy layers and that one is not among them: it was built in another without a word. Of eight
    bits it need not tell: they are in the graph, and may be out of sight within a layer.
    """
    found = set(_floats(library, engine, {t.name for t in (*spec.inputs, *spec.outputs)}))
    if found and built not in (*found, *QUANTISED):
        types = ", ".join(sorted(found))
        raise EngineError(
            f"{spec.role}: built in {built}, tensorrt computes in {types}: use --backend inductor"
        )
    return built


def _check(trt: Any, engine: Any, tensor: TensorSpec, mode: Any, role: str) -> None:
    dtype = engine.get_tensor_dtype(tensor.name)
    shape = tuple(engine.get_tensor_shape(tensor.name))
    required = tuple(side if isinstance(side, int) else -1 for side in tensor.shape)
    # An output's side may be known to be fixed, and an input's range be of one size only.
    fits = len(shape) == len(required) and all(
        size == side or -1 in (size, side) for size, side in zip(shape, required, strict=True)
    )
    is_right = dtype == getattr(trt.DataType, DTYPES[tensor.dtype_name])
    if engine.get_tensor_mode(tensor.name) != mode or not is_right or not fits:
        raise ArtifactError(
            f"{role}: engine has {tensor.name!r} as {dtype} {list(shape)}; required: {tensor}"
        )


def _floats(library: Library, engine: Any, outer: set[str]) -> Iterator[str]:
    """Yield what the inspector says of the floats of heavy layers; nothing where it says nothing.

    outer: tensors of the whole network, which are of the types that others gave them.
    """
    inspector = engine.create_engine_inspector()
    said = inspector.get_engine_information(library.trt.LayerInformationFormat.JSON)
    try:
        layers = json.loads(said)["Layers"]
    except (ValueError, KeyError, TypeError):
        return
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, Mapping) and _HEAVY.search(_kind(layer)):
            yield from _told(layer, outer)


def _kind(layer: Mapping[str, Any]) -> str:
    return f"{layer.get('LayerType')} {layer.get('ParameterType')}".lower()


def _told(layer: Mapping[str, Any], outer: set[str]) -> Iterator[str]:
    for tensor in (*layer.get("Inputs", ()), *layer.get("Outputs", ())):
        if tensor.get("Name") in outer:
            continue
        kind = str(tensor.get("Format/Datatype", "")).lower()
        word = next((word for word in _WORDS if word in kind), None)
        if word is not None:
            yield _WORDS[word]
