"""Checks that tensors fit a specification; what every backend asks before it binds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engines.errors import SpecMismatch
from engines.spec import EngineSpec, TensorSpec


def torch_dtype(tensor: TensorSpec) -> torch.dtype:
    """Return the torch dtype of a tensor's specification."""
    dtype = getattr(torch, tensor.dtype_name)
    assert isinstance(dtype, torch.dtype)
    return dtype


def checked_inputs(
    spec: EngineSpec, inputs: Mapping[str, Tensor], *, device: torch.device
) -> tuple[Tensor, ...]:
    """Return the inputs in the order of the specification, or raise SpecMismatch."""
    return _checked(spec.role, spec.inputs, inputs, device=device, kind="input")


def checked_outputs(
    spec: EngineSpec, outputs: Mapping[str, Tensor] | None, *, device: torch.device
) -> dict[str, Tensor]:
    """Return the outputs by name: the given ones checked, or else new ones."""
    if outputs is None:
        return {
            tensor.name: torch.empty(tensor.shape, dtype=torch_dtype(tensor), device=device)
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
