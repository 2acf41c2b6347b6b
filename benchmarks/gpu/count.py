"""Counts what a network has to compute and to move, without computing it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # torch's hooks are given whatever its functions take

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One product, convolution or attention. bytes: what it reads and writes, each once."""

    flops: int
    bytes: int

    def seconds(self, peak_flops: float, peak_bytes: float) -> float:
        """Return the least time at these rates a second (Williams et al. 2009, the roofline)."""
        return max(self.flops / peak_flops, self.bytes / peak_bytes)


def count_work(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[Work, ...]:
    """Return the work of a forward pass; all tensors are on the device "meta".

    What lies between, as norms and activations, counts as free: a compiler can write it into the
    ends of these. So the sum is less than any machine will do, and a share of it is honest.
    """
    found: list[Work] = []
    with torch.no_grad(), _Attention(found), _Products(found):
        module(*inputs)
    return tuple(found)


def total(work: Iterable[Work]) -> Work:
    """Return all of it as one."""
    every = list(work)
    return Work(flops=sum(each.flops for each in every), bytes=sum(each.bytes for each in every))


class _Products(TorchDispatchMode):
    """Notes matrix products and convolutions."""

    def __init__(self, found: list[Work]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of torch
        self.found = found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            flops = formula(*args, **(kwargs or {}), out_val=out)
            self.found.append(Work(flops=int(flops), bytes=_bytes((*args, out))))
        return out


class _Attention(TorchFunctionMode):
    """Notes attention as one piece: its scores never leave the chip where it is done well."""

    def __init__(self, found: list[Work]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        named = dict(zip(("query", "key", "value"), args, strict=False)) | dict(kwargs or {})
        query, key, value = (named[name] for name in ("query", "key", "value"))
        out = query.new_empty((*query.shape[:-1], value.shape[-1]))
        pairs = math.prod(query.shape[:-1]) * key.shape[-2]
        flops = 2 * pairs * (query.shape[-1] + value.shape[-1])
        self.found.append(Work(flops=flops, bytes=_bytes((query, key, value, out))))
        return out


def _bytes(tensors: Iterable[object]) -> int:
    return sum(each.nbytes for each in tensors if isinstance(each, Tensor))
