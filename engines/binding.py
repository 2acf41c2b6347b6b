"""Checks that tensors fit a specification; what every backend asks before it binds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engines.errors import SpecMismatch
from engines.spec import EngineSpec, Range, TensorSpec


def torch_dtype(tensor: TensorSpec) -> torch.dtype:
    """Return the torch dtype of a tensor's specification."""
    dtype = getattr(torch, tensor.dtype_name)
    assert isinstance(dtype, torch.dtype)
    return dtype


def bound_spec(spec: EngineSpec, inputs: Mapping[str, Tensor]) -> EngineSpec:
    """Return the specification with the ranges fixed to what these inputs have.

    What else does not fit is left to the checks below. Raises ShapeOutOfProfile for a size outside
    of its range, SpecMismatch for two sizes where one is meant.
    """
    if not spec.ranges:
        return spec
    found: dict[str, int] = {}
    for tensor in spec.inputs:
        given = inputs.get(tensor.name)
        if given is None or given.ndim != len(tensor.shape):
            continue
        for side, size in zip(tensor.shape, given.shape, strict=True):
            if isinstance(side, Range):
                base, rest = divmod(size, side.times)
                if rest or found.setdefault(side.name, base) != base:
                    shapes = f"{list(given.shape)}; required: {tensor}, {side.name} the same in all"
                    raise SpecMismatch(f"{spec.role}: input {tensor.name!r} has shape {shapes}")
    return spec.at(found)


def checked_inputs(
    spec: EngineSpec, inputs: Mapping[str, Tensor], *, device: torch.device
) -> tuple[Tensor, ...]:
    """Return the inputs in the order of a specification of fixed shapes, or raise SpecMismatch."""
    return _checked(spec.role, spec.inputs, inputs, device=device, kind="input")


def checked_outputs(
    spec: EngineSpec, outputs: Mapping[str, Tensor] | None, *, device: torch.device
) -> dict[str, Tensor]:
    """Return the outputs by name: the given ones checked, or else new ones."""
    if outputs is None:
        return {
            tensor.name: torch.empty(tensor.usual_shape, dtype=torch_dtype(tensor), device=device)
            for tensor in spec.outputs
        }
    ordered = _checked(spec.role, spec.outputs, outputs, device=device, kind="output")
    return {tensor.name: given for tensor, given in zip(spec.outputs, ordered, strict=True)}


def _checked(
    role: str,
    specs: tuple[TensorSpec, ...],
    given: Mapping[str, Tensor],
    *,
    device: torch.device,
    kind: str,
) -> tuple[Tensor, ...]:
    required = {tensor.name for tensor in specs}
    missing = sorted(required - given.keys())
    unknown = sorted(given.keys() - required)
    if missing or unknown:
        raise SpecMismatch(
            f"{role}: {kind}s missing {missing}, unknown {unknown}; required: {sorted(required)}"
        )
    for tensor in specs:
        _check(role, tensor, given[tensor.name], device=device, kind=kind)
    return tuple(given[tensor.name] for tensor in specs)


def _check(
    role: str, required: TensorSpec, given: Tensor, *, device: torch.device, kind: str
) -> None:
    where = f"{role}: {kind} {required.name!r}"
    if tuple(given.shape) != required.shape:
        raise SpecMismatch(
            f"{where} has shape {list(given.shape)}; required: {list(required.shape)}"
        )
    if given.dtype != torch_dtype(required):
        dtype = str(given.dtype).removeprefix("torch.")
        raise SpecMismatch(f"{where} is {dtype}; required: {required.dtype_name}")
    if not is_on(given.device, device):
        raise SpecMismatch(f"{where} is on {given.device}; required: {device}")
    if not given.is_contiguous():
        raise SpecMismatch(
            f"{where} has strides {given.stride()}; required: contiguous, bind a `.contiguous()`"
        )


def is_on(device: torch.device, required: torch.device) -> bool:
    """Tell whether a device is the required one; a required "cuda" means any of them."""
    return device.type == required.type and required.index in (None, device.index)
