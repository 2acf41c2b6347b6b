"""What tells one network from another: its weights, and the code and constants around them."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import FunctionType
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn


class Fingerprints:
    """Hashes of weights, kept as long as the module lives and its weights stay as they are.

    A change by way of `.data`, which torch does not count, is not seen.
    """

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[nn.Module, tuple[object, str]] = WeakKeyDictionary()

    def weights(self, module: nn.Module) -> str:
        """Return the module's `weights_hash`; reads no weights where it is known."""
        state = _state(module)
        known = self._known.get(module)
        if known is None or known[0] != state:
            known = (state, weights_hash(module))
            self._known[module] = known
        return known[1]


def weights_hash(module: nn.Module) -> str:
    """Hash names, dtypes, shapes and contents of all parameters and buffers, in name order."""
    return tensors_hash(chain(module.named_parameters(), module.named_buffers()))


def tensors_hash(named: Iterable[tuple[str, Tensor]]) -> str:
    """Hash named tensors in name order; each is read in turn, none is kept."""
    digest = hashlib.sha256()
    for name, tensor in sorted(named, key=lambda pair: pair[0]):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(raw.numpy().data)
    return digest.hexdigest()


def structure_hash(module: nn.Module) -> str:
    """Hash what tracing bakes in beside weights: layers, constants, and their source code.

    Plain attributes count (a scaling factor ends as a constant of the graph); so does the text
    of every file that defines a class of a submodule, and of those of its own package from which
    such a file imports functions.
    """
    digest = hashlib.sha256()
    for name, part in module.named_modules():
        layer = {"name": name, "class": _qualified(type(part)), "extra": part.extra_repr()}
        layer["constants"] = json.dumps(_constants(vars(part)), sort_keys=True)
        digest.update(json.dumps(layer, sort_keys=True).encode())
    for source in sorted(_sources(module)):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _state(module: nn.Module) -> object:
    """Return what differs once a tensor is exchanged or changed in place."""
    named = chain(module.named_parameters(), module.named_buffers())
    return tuple((name, t.data_ptr(), t.dtype, t.shape, t._version) for name, t in named)


def _constants(attributes: Mapping[str, object]) -> dict[str, object]:
    public = {name: value for name, value in attributes.items() if not name.startswith("_")}
    return {name: _plain(value) for name, value in public.items() if name != "training"}


def _plain(value: object) -> object:
    """Describe a value without its address in memory."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | torch.dtype | torch.device):
        return repr(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor):
        return tensors_hash([("", value)])
    if inspect.isroutine(value) or inspect.isclass(value):
        return _qualified(value)
    if hasattr(value, "__dict__"):
        return {"class": _qualified(type(value)), **_shallow(vars(value))}
    return _qualified(type(value))


def _shallow(attributes: Mapping[str, object]) -> dict[str, object]:
    """Describe an object's own plain values only, so that cycles end here."""
    kept = (bool, int, str, float)
    named = {name: value for name, value in attributes.items() if not name.startswith("_")}
    return {name: repr(value) for name, value in named.items() if isinstance(value, kept)}


def _qualified(named: object) -> str:
    module = getattr(named, "__module__", "")
    return f"{module}.{getattr(named, '__qualname__', type(named).__qualname__)}"


def _sources(module: nn.Module) -> set[Path]:
    kinds = set(_classes(module))
    called = (each for kind in kinds for each in _called(kind))
    named: Iterable[type | FunctionType] = chain(kinds, called)
    return {source for each in named if (source := _source(each)) is not None}


def _called(kind: type) -> Iterator[FunctionType]:
    """Yield the functions that the file of a class has, those of its own package that it imports.

    Of torch there is no end, and its version is in every key.
    """
    package, _, _ = kind.__module__.partition(".")
    found = sys.modules.get(kind.__module__) if package != "torch" else None
    for value in tuple(vars(found).values()) if found else ():
        if isinstance(value, FunctionType) and value.__module__.partition(".")[0] == package:
            yield value


def _classes(module: nn.Module) -> Iterator[type]:
    for kind in {type(part) for part in module.modules()}:
        yield from kind.__mro__


def _source(kind: type | FunctionType) -> Path | None:
    try:
        found = inspect.getsourcefile(kind)
    except (TypeError, OSError):  # a built-in, or a class typed into a prompt
        return None
    path = Path(found) if found else None
    return path if path is not None and path.is_file() else None
