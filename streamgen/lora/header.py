"""What a LoRA file says that it holds: its first bytes alone are read; needs no torch.

Enough to list hundreds of files, and to tell at once what is no LoRA. Whether its weights are
finite, and whether it fits a model, `read` and `fit` find out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO  # Any: whatever JSON holds

from streamgen.errors import ModelError
from streamgen.lora.names import Network, parse

#: What safetensors itself allows.
_LARGEST = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """layers: how many of each network. ranks: of the layers, each once, smallest first."""

    layers: Mapping[Network, int]
    ranks: tuple[int, ...]
    size_bytes: int


def read_header(path: Path) -> Header:
    """Read what a file says of itself; ModelError, with a reason and no name, for no LoRA."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            entries, length = entries_of(file)
    except OSError as error:
        raise ModelError(f"it cannot be read: {error.strerror or error}") from error
    ends = [_numbers(entry, "data_offsets")[-1] for entry in entries.values()]
    if not ends:
        raise ModelError("it holds no weights")
    if length + max(ends) > size:
        raise ModelError(
            f"it is cut off, or still being written: its {size} bytes do not hold what its header"
            " tells of"
        )
    names = {key: parse(key) for key in entries}
    layers = {(each.network, each.layer) for each in names.values()}
    networks = sorted({network for network, _ in layers})
    ranks = {
        _numbers(entries[key], "shape")[0] for key, each in names.items() if each.part == "down"
    }
    return Header(
        layers={each: sum(network == each for network, _ in layers) for each in networks},
        ranks=tuple(sorted(ranks)),
        size_bytes=size,
    )


def entries_of(file: BinaryIO) -> tuple[Mapping[str, Any], int]:
    """Return the entries of a safetensors header, without the metadata, and where data begin."""
    length = int.from_bytes(file.read(8), "little")
    text = file.read(length) if length <= _LARGEST else b""
    if not text.startswith(b"{"):
        raise ModelError("it is no safetensors file: convert it, nothing else is read")
    if len(text) < length:
        raise ModelError("it is cut off, or still being written: it ends within its header")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its safetensors header is no JSON ({error})") from error
    assert isinstance(header, dict), "it starts with a brace"
    return {key: entry for key, entry in header.items() if key != "__metadata__"}, 8 + length


def _numbers(entry: object, field: str) -> list[int]:
    """Return a list of whole numbers of an entry."""
    numbers = entry.get(field) if isinstance(entry, dict) else None
    if not (isinstance(numbers, list) and numbers and all(isinstance(n, int) for n in numbers)):
        # alpha is a single number, whose shape is empty; only "down" is asked for its shape
        raise ModelError(f"its safetensors header tells no {field} of what it holds")
    return numbers
