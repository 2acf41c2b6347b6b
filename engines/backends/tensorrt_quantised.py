"""Networks of eight bits for TensorRT: typed ONNX with the pairs and ranges that modelopt chose.

what                  "fp8"                        "int8"
layers                linear ones that see tokens  convolutions, but for the first and the last
weights               float8e4m3fn, one scale      int8, a scale for each channel
inputs of layers      float8e4m3fn, one scale      int8, one scale
everything else       `floats`                     `floats`
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any  # ONNX gives no types for its messages

from torch import nn

from engines.backends.tensorrt_pairs import PairedLayer, pair_faults, put_pairs
from engines.backends.tensorrt_ranges import HINT, LayerRange, measured
from engines.calibration import Calibration
from engines.errors import BuildError
from engines.export import OPSET, WEIGHTS_MAP
from engines.protocol import Availability
from engines.spec import FP8, INT8, EngineSpec
from engines.typed_lint import faults
from engines.typed_onnx import write_typed

#: The oldest GPUs that compute in fp8: Ada; Hopper is 9.0.
FP8_CAPABILITY = (8, 9)
_PACKAGE = "nvidia-modelopt"
_ONE_FILE_BYTES = 1_500_000_000


def quantiser_availability(precision: str, capability: tuple[int, int]) -> Availability:
    """Tell whether networks can be built for "fp8" or "int8"; imports nothing, never raises.

    capability: of the GPU, as torch tells it.
    """
    if precision == FP8 and capability < FP8_CAPABILITY:
        reason = f"the GPU is of compute capability {capability[0]}.{capability[1]}, fp8 needs 8.9"
        return Availability(ok=False, reason=reason, hint="use bf16, or int8")
    try:
        return Availability(ok=True, versions={_PACKAGE: version(_PACKAGE)})
    except PackageNotFoundError:
        return Availability(ok=False, reason=f"{_PACKAGE} is not installed", hint=HINT)


def quantiser_facts(floats: str) -> dict[str, object]:
    """Return what shapes a quantised network beside its specification and the code, for the key.

    floats: the precision of what is not quantised.
    """
    found = quantiser_availability(INT8, FP8_CAPABILITY)
    return {"floats": floats, "quantiser": dict(found.versions)}


def quantising(
    spec: EngineSpec, module: nn.Module, calibration: Calibration, *, floats: str
) -> Callable[[Path, int], None]:
    """Choose the ranges, now, and return what writes the network to a path in an operation set.

    As of `write_quantised`. The ranges are for all operation sets, and take the most time.
    """
    ranges = measured(spec, module, calibration)

    def write(path: Path, opset: int) -> None:
        _write(spec, module, path, ranges=ranges, floats=floats, opset=opset)

    return write


def write_quantised(
    spec: EngineSpec,
    module: nn.Module,
    path: Path,
    *,
    calibration: Calibration,
    floats: str,
    opset: int = OPSET,
) -> None:
    """Write a module as typed ONNX whose layers compute in `spec.precision`, "fp8" or "int8".

    module: as of `write_typed`. floats: "bf16", "fp16" or "fp32", of all that is not quantised; of
    the weights map, the quantised ones go into "folded". Raises BuildError where there is no
    modelopt, or where the samples or the graph do not fit.
    """
    quantising(spec, module, calibration, floats=floats)(path, opset)


def _write(
    spec: EngineSpec,
    module: nn.Module,
    path: Path,
    *,
    ranges: Mapping[str, LayerRange],
    floats: str,
    opset: int,
) -> None:
    write_typed(replace(spec, precision=floats), module, path, opset=opset)
    onnx: Any = import_module("onnx")
    model = onnx.load(path)
    layers = _paired(spec, module, ranges, path.with_name(WEIGHTS_MAP))
    put_pairs(model, layers, spec.precision)
    found = (*pair_faults(model, layers), *faults(model, replace(spec, precision=floats)))
    if found:
        raise BuildError(f"{spec.role}: not quantised as it should be: {'; '.join(found[:3])}")
    path.with_name(f"{path.name}.data").unlink(missing_ok=True)
    large = model.ByteSize() > _ONE_FILE_BYTES
    location = f"{path.name}.data" if large else None
    onnx.save_model(model, path, save_as_external_data=large, location=location)
    onnx.checker.check_model(str(path), full_check=True)


def _paired(
    spec: EngineSpec, module: nn.Module, ranges: Mapping[str, LayerRange], place: Path
) -> list[PairedLayer]:
    """Return the layers as they are in the graph, and strike them off the map of the weights."""
    told = json.loads(place.read_text(encoding="utf-8"))
    found = []
    for name, reach in ranges.items():
        weight = module.get_parameter(f"{name}.weight").detach()
        at = told["weights"].pop(f"{name}.weight", None)
        if at is None:
            raise BuildError(f"{spec.role}: the weight of {name} has no place in the graph")
        told["folded"].append(f"{name}.weight")
        found.append(
            PairedLayer(
                name=name,
                initializer=at["initializer"],
                weight=weight.t() if at["transposed"] else weight,
                axis=None if spec.precision == FP8 else int(at["transposed"]),
                given=reach.given,
                reach=reach.weight,
            )
        )
    told["folded"].sort()
    place.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return found
