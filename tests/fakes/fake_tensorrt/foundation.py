"""Shapes, weights and memory of the host: the plain values that the bindings pass around."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn  # Any: arrays of NumPy of any kind

import numpy as np

from fake_tensorrt.arguments import address, instance, integer
from fake_tensorrt.enums import DataType

_NUMPY = {"f4": "FLOAT", "f2": "HALF", "i8": "INT64", "i4": "INT32", "i1": "INT8", "b1": "BOOL"}
_NUMPY |= {"u1": "UINT8"}
MAX_DIMS = 8


class Dims:
    """A shape; compares with tuples and lists, and is none of them."""

    MAX_DIMS = MAX_DIMS
    __slots__ = ("_sides",)

    def __init__(self, shape: Iterable[int] = ()) -> None:
        self._sides = sides(shape, "Dims")

    def __len__(self) -> int:
        return len(self._sides)

    def __getitem__(self, at: Any) -> Any:
        return self._sides[at]

    def __iter__(self) -> Iterator[int]:
        return iter(self._sides)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple | list | Dims) and tuple(other) == self._sides

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return str(self._sides)


class NoDims(Dims):
    """What a name that is no tensor's gets: -1 dimensions, so that `len` fails."""

    __slots__ = ()

    def __len__(self) -> int:
        raise ValueError("__len__() should return >= 0")

    def __iter__(self) -> Iterator[int]:
        raise ValueError("the shape of no tensor: it has -1 dimensions")

    def __repr__(self) -> str:
        return "Dims(nbDims=-1)"


def sides(shape: Any, what: str) -> tuple[int, ...]:
    """Return a shape's sides; only tuples, lists and Dims stand for one."""
    if not isinstance(shape, tuple | list | Dims):
        raise TypeError(f"{what}: incompatible function arguments: a shape, got {shape!r}")
    found = tuple(integer(side, what) for side in shape)
    if len(found) > MAX_DIMS:
        raise ValueError(f"Input length {len(found)}. Max expected length is {MAX_DIMS}")
    return found


class Weights:
    """A type, an address and a count; an array is kept alive, an address is just believed."""

    __slots__ = ("_array", "_count", "_dtype", "_pointer")

    def __init__(self, *given: Any, **named: Any) -> None:
        if named:
            order = ("type", "ptr", "count") if "a" not in named else ("a",)
            given = (*given, *(named.pop(name) for name in order[len(given) :] if name in named))
        if named or len(given) not in (0, 1, 3):
            raise TypeError(f"Weights: incompatible constructor arguments: {given}, {named}")
        self._array: Any = None
        self._pointer, self._count = 0, 0
        self._dtype = DataType.FLOAT
        if len(given) == 3:
            self._dtype = instance(given[0], DataType, "Weights")
            self._pointer = address(given[1], "Weights")
            self._count = integer(given[2], "Weights")
        elif given and isinstance(given[0], np.ndarray):
            self._take(given[0])
        elif given:
            self._dtype = instance(given[0], DataType, "Weights")

    def _take(self, array: Any) -> None:
        if not array.flags.c_contiguous:
            raise ValueError("Could not convert non-contiguous NumPy array to Weights.")
        kind = f"{array.dtype.kind}{array.dtype.itemsize}"
        if kind not in _NUMPY:
            raise ValueError(f"Could not implicitly convert NumPy data type: {array.dtype}")
        self._array, self._dtype = array, DataType[_NUMPY[kind]]
        self._pointer, self._count = array.ctypes.data, array.size

    @property
    def dtype(self) -> DataType:
        return self._dtype

    @property
    def size(self) -> int:
        return self._count

    @property
    def nbytes(self) -> int:
        return int((self._dtype.itemsize or 0) * self._count)

    def numpy(self) -> Any:
        """Return the values, or the weights themselves where NumPy has no such type."""
        return self if self._array is None else self._array

    def __len__(self) -> int:
        return self._count


class IHostMemory(bytes):
    """Bytes behind the buffer protocol: `bytes(memory)`, `memoryview(memory)`, `file.write`."""

    @property
    def nbytes(self) -> int:
        return bytes.__len__(self)

    @property
    def dtype(self) -> DataType:
        return DataType.INT8

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("IHostMemory has no length and no items: take bytes(memory)")

    __len__ = __getitem__ = __iter__ = __add__ = decode = hex = _refuse  # type: ignore[assignment]
