"""What pybind11 does before a function runs: arguments of another type are a TypeError."""

from __future__ import annotations

import operator
from typing import Any  # whatever somebody may hand over


class Undefined(AssertionError):
    """What the real one has no word for: there it reads freed memory, races, or is just wrong."""


def instance(value: Any, kind: type, what: str) -> Any:
    """Return a value of a bound class, or raise as pybind11 does."""
    if not isinstance(value, kind):
        raise TypeError(f"{what}: incompatible function arguments: {kind.__name__}, got {value!r}")
    return value


def integer(value: Any, what: str) -> int:
    """Return what can stand for an integer; a tensor, which has an `__index__` too, cannot."""
    if type(value).__module__.startswith(("torch", "numpy")):
        raise TypeError(f"{what}: incompatible function arguments: int, got {type(value).__name__}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what}: incompatible function arguments: int, got {value!r}") from None


def address(value: Any, what: str) -> int:
    """Return an address, which cannot be negative."""
    found = integer(value, what)
    if found < 0:
        raise TypeError(f"{what}: incompatible function arguments: address {found}")
    return found


def text(value: Any, what: str) -> str:
    """Return a string."""
    found: str = instance(value, str, what)
    return found
