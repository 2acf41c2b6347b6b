"""A network's copy in a precision and a memory layout, for backends that trace it that way."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any  # what a graph calls and is called with is anything

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from engines.binding import torch_dtype
from engines.spec import EngineSpec, TensorSpec

#: Comes before the names of all weights of a narrowed network.
PREFIX = "network."
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def narrowed(spec: EngineSpec, module: nn.Module) -> nn.Module:
    """Return a copy of a module that computes in a precision, its weights channels last.

    It takes what the module takes. Float inputs of two or more dimensions are cast to the
    precision, but for those that keep their dtype; scalars and vectors (timesteps, scales) keep
    theirs, because a timestep has no exact bf16. module: plain, or an exported program's, on any
    device.
    """
    dtype = DTYPES[spec.precision]
    copied = copy.deepcopy(module).requires_grad_(False).to(dtype=dtype)
    # torch's own stubs lack the form of `to` that takes only a memory format
    copied = copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _Narrowed(copied, dtype, [is_cast(tensor) for tensor in spec.inputs])


def is_cast(tensor: TensorSpec) -> bool:
    """Tell whether an input is cast to what its network computes in."""
    is_float = torch_dtype(tensor).is_floating_point
    return is_float and len(tensor.shape) > 1 and not tensor.keeps_dtype


class _Narrowed(nn.Module):
    def __init__(self, network: nn.Module, dtype: torch.dtype, is_cast: Sequence[bool]) -> None:
        super().__init__()
        self.network = network
        self._dtype = dtype
        self._is_cast = is_cast

    def forward(self, *inputs: Tensor) -> Any:
        pairs = zip(inputs, self._is_cast, strict=True)
        given = [each.to(self._dtype) if casts else each for each, casts in pairs]
        if isinstance(self.network, fx.GraphModule) and self._dtype != torch.float32:
            return _Reader(self.network, self._dtype).run(*given)
        return self.network(*given)


class _Reader(fx.Interpreter):
    """Runs a program that was exported in fp32 on weights of a narrower kind.

    Where its module said "cast to the dtype of my weights", the program says "cast to float32".
    So whenever floats of both kinds meet, as at every layer with weights, the full ones are cast.
    What only full ones take part in, as the sines of a timestep, stays exact.
    """

    def __init__(self, program: fx.GraphModule, dtype: torch.dtype) -> None:
        super().__init__(program)
        self._dtype = dtype

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target is torch.ops.aten._assert_tensor_metadata.default:
            return None  # of the dtypes that the program was exported with
        given = [each for each in pytree.tree_leaves((args, kwargs)) if _is_float(each)]
        if len({each.dtype for each in given}) > 1:
            args, kwargs = pytree.tree_map(self._cast, (args, kwargs))
        return super().call_function(target, args, kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target == "_guards_fn":
            return None  # it looks at shapes, as `binding.py` does
        return super().call_module(target, args, kwargs)

    def _cast(self, given: Any) -> Any:
        return given.to(self._dtype) if _is_float(given) else given


def _is_float(given: Any) -> bool:
    return isinstance(given, Tensor) and given.is_floating_point() and given.ndim > 0
