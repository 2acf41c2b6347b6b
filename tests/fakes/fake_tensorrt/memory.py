"""Whose memory an address is: the tensors of torch on the CPU, which stand for the GPU's.

An address of CUDA memory says nothing of its owner, and reading freed memory there gives no
error. Here every address has to lie in a tensor that is alive, of the right type and large enough.
"""

from __future__ import annotations

import gc
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from fake_tensorrt.arguments import Undefined
from fake_tensorrt.enums import DataType

TORCH = {
    DataType.FLOAT: torch.float32,
    DataType.HALF: torch.float16,
    DataType.BF16: torch.bfloat16,
    DataType.INT8: torch.int8,
    DataType.INT32: torch.int32,
    DataType.INT64: torch.int64,
    DataType.BOOL: torch.bool,
    DataType.UINT8: torch.uint8,
    DataType.FP8: torch.float8_e4m3fn,
}


@dataclass(frozen=True)
class Held:
    """Memory that a tensor held when it was looked up."""

    address: int
    storage: StorageWeakRef
    room: int
    dtypes: frozenset[torch.dtype]

    def check(self, nbytes: int, dtype: DataType | None, what: str) -> None:
        """Raise where the memory is gone, too small, or of another type than what it is read as."""
        if self.storage.expired():
            raise Undefined(f"{what}: its memory was freed: keep the tensor alive")
        if nbytes > self.room:
            raise Undefined(f"{what}: needs {nbytes} bytes, its memory has {self.room}")
        if dtype is not None and self.dtypes and TORCH[dtype] not in self.dtypes:
            found = ", ".join(str(each) for each in self.dtypes)
            raise Undefined(f"{what}: is {dtype.name}, its memory belongs to {found}")


def look_up(addresses: Iterable[int]) -> dict[int, Held]:
    """Return the memory that each address lies in; addresses of no living tensor are left out."""
    wanted = sorted(set(addresses))
    found: dict[int, Held] = {}
    for tensor in _living():
        storage = tensor.untyped_storage()
        start = storage.data_ptr()
        end, own = start + storage.nbytes(), tensor.data_ptr()
        for address in wanted[bisect_left(wanted, start) : bisect_left(wanted, end)]:
            before = found.get(address)
            dtypes = before.dtypes if before else frozenset()
            if own == address:
                dtypes |= {tensor.dtype}
            found[address] = Held(address, StorageWeakRef(storage), end - address, dtypes)
    return found


def _living() -> list[Tensor]:
    kinds = (Tensor, nn.Parameter)
    tensors = [each for each in gc.get_objects() if type(each) in kinds]
    return [each for each in tensors if each.device.type == "cpu" and _has_memory(each)]


def _has_memory(tensor: Tensor) -> bool:
    try:
        return tensor.layout == torch.strided and tensor.data_ptr() != 0
    except RuntimeError:
        return False  # one that torch only pretends to have while it traces
