"""ITimingCache: how long kernels took, by version and GPU."""

from __future__ import annotations

import json

from fake_tensorrt.arguments import instance
from fake_tensorrt.foundation import IHostMemory


class ITimingCache:
    """Entries of layers that were timed, under a header that says where."""

    __slots__ = ("_entries", "_header")

    def __init__(self) -> None:
        raise TypeError("ITimingCache: No constructor defined!")

    @classmethod
    def _made(cls, data: bytes, header: list[str]) -> ITimingCache:
        """Read a cache; ValueError where the bytes are none."""
        cache = cls.__new__(cls)
        cache._header, cache._entries = header, {}
        if data:
            told = json.loads(data.decode())
            cache._header, cache._entries = told["header"], told["entries"]
        return cache

    def serialize(self) -> IHostMemory:
        """Return the cache as bytes."""
        told = {"header": self._header, "entries": self._entries}
        return IHostMemory(json.dumps(told).encode())

    def combine(self, input_cache: ITimingCache, ignore_mismatch: bool) -> bool:
        """Take over entries that are not here; refused from another version, or another GPU."""
        other: ITimingCache = instance(input_cache, ITimingCache, "combine")
        is_same_gpu = other._header[1:] == self._header[1:]
        if other._header[0] != self._header[0] or not (is_same_gpu or ignore_mismatch):
            return False
        self._entries = other._entries | self._entries
        return True

    def reset(self) -> bool:
        """Empty it."""
        self._entries = {}
        return True
