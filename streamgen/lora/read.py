"""Reads a LoRA from a safetensors file, whole and finite or not at all; knows no model.

Nothing is unpickled, and nothing of the file is mapped: who overwrites it later harms nobody.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # whatever JSON holds

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from streamgen.errors import ModelError
from streamgen.lora.header import entries_of
from streamgen.lora.names import KeyName, Network, Part, parse

#: Where diffusers writes the settings of PEFT, as JSON in the metadata.
_SETTINGS = "lora_adapter_metadata"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    """A change of a layer's weight: strength * up @ down, over the layer's inputs (Hu et al. 2021,
    LoRA, arXiv 2106.09685).

    down: [rank, inputs, ...]. up: [outputs, rank, ...]. Of any float type, on the CPU.
    """

    down: Tensor
    up: Tensor
    strength: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lora:
    """What a file holds, by the network and the layer's name as the file spells it.

    digest: SHA-256 of the file.
    """

    name: str
    digest: str
    layers: Mapping[tuple[Network, str], Factors]


def read_lora(path: Path) -> Lora:
    """Read a file; raise ModelError, saying what is wrong, for anything but a sound LoRA."""
    name = path.stem
    try:
        with path.open("rb") as file:
            # The names first: a whole model of many gigabytes is not read to be refused.
            entries, _ = entries_of(file)
            for key in entries:
                parse(key)
            file.seek(0)
            content = file.read()
        settings = _settings(content)
        tensors = _tensors(content)
        layers = _layers(tensors, settings)
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"LoRA {name!r}: {path} cannot be read: {reason}") from error
    except ModelError as error:
        raise ModelError(f"LoRA {name!r}: {error}") from error
    return Lora(name=name, digest=hashlib.sha256(content).hexdigest(), layers=layers)


def _settings(content: bytes) -> Mapping[str, Any]:
    """Return the settings of PEFT, by names such as "unet.lora_alpha", where there are any."""
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        settings = json.loads(header.get("__metadata__", {}).get(_SETTINGS, "{}"))
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ModelError(f"its metadata cannot be read ({error})") from error
    if not isinstance(settings, dict):
        raise ModelError(f"its metadata {_SETTINGS!r} is no JSON object")
    return settings


def _tensors(content: bytes) -> dict[str, Tensor]:
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        if "IncompleteBuffer" in str(error) or "not fully covered" in str(error):
            raise ModelError(
                f"it is cut off, or still being written: its {len(content)} bytes do not hold"
                " what its header tells of"
            ) from error
        raise ModelError(f"it is no sound safetensors file ({error})") from error
    for key, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise ModelError(f"{key!r} is {tensor.dtype}: supported are floats")
        if not bool(torch.isfinite(tensor.float()).all()):
            raise ModelError(f"it has NaN or infinite weights ({key!r})")
    return tensors


def _layers(
    tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> dict[tuple[Network, str], Factors]:
    found: dict[tuple[Network, str], dict[Part, Tensor]] = {}
    for key, tensor in tensors.items():
        names: KeyName = parse(key)
        parts = found.setdefault((names.network, names.layer), {})
        if names.part in parts:
            raise ModelError(f"it has {names.layer!r} twice, once as {key!r}")
        parts[names.part] = tensor
    if not found:
        raise ModelError("it holds no weights")
    return {
        (network, layer): _factors(network, layer, parts, settings)
        for (network, layer), parts in found.items()
    }


def _factors(
    network: Network, layer: str, parts: Mapping[Part, Tensor], settings: Mapping[str, Any]
) -> Factors:
    for part in ("down", "up"):
        if part not in parts:
            raise ModelError(f"its layer {layer!r} has no {part} weights")
    down, up = parts["down"], parts["up"]
    if not (2 <= down.ndim == up.ndim <= 4) or down.ndim == 3:
        raise ModelError(f"its layer {layer!r} is {list(up.shape)} after {list(down.shape)}")
    rank = down.shape[0]
    if rank == 0 or up.shape[1] != rank or math.prod(up.shape[2:]) != 1:
        raise ModelError(f"its layer {layer!r} is {list(up.shape)} after {list(down.shape)}")
    if "alpha" not in parts:
        return Factors(down=down, up=up, strength=_told(network, layer, settings, rank=rank))
    if parts["alpha"].numel() != 1:
        raise ModelError(f"its alpha of {layer!r} is {list(parts['alpha'].shape)}: required: one")
    return Factors(down=down, up=up, strength=float(parts["alpha"].float()) / rank)


def _told(network: Network, layer: str, settings: Mapping[str, Any], *, rank: int) -> float:
    """Return the strength where a layer has no alpha: as PEFT's settings say, or 1."""
    patterns = settings.get(f"{network}.alpha_pattern") or {}
    alpha = settings.get(f"{network}.lora_alpha", rank)
    for name, told in patterns.items() if isinstance(patterns, dict) else ():
        if layer == name or layer.endswith(f".{name}"):
            alpha = told
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise ModelError(f"its metadata tells of an alpha of {alpha!r}: required: a number")
    # rsLoRA (Kalajdzievski 2023, arXiv 2312.03732) divides by the root.
    return alpha / (math.sqrt(rank) if settings.get(f"{network}.use_rslora") else rank)
