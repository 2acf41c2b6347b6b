"""Reads a motion adapter from a folder in diffusers' layout, whole and sound or not at all.

Nothing is unpickled, and nothing of the file stays mapped: who overwrites it later harms nobody.
Knows no UNet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: whatever JSON holds

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from streamgen.errors import ModelError
from streamgen.motion.layouts import Layout, Place, layout_of
from streamgen.motion.positions import sinusoids

CONFIG = "config.json"
#: Weights in fp32 and, where there are no others, in fp16, as diffusers names them.
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
_PICKLED = ("*.bin", "*.ckpt", "*.pt", "*.pth")
_POSITIONS = "pos_embed.pe"
#: What float16 makes of a sine.
_ROUNDING = 2e-3
#: Other folders that people have for AnimateDiff, by class, and why they are no adapters.
_REFUSED: Mapping[str, str] = {
    "SparseControlNetModel": (
        "it is a SparseCtrl: it puts pictures at chosen frames of a clip that is drawn as a whole,"
        " and its own motion modules look at later frames, which a stream does not have"
    ),
    "ControlNetModel": "it is a ControlNet",
    "UNetMotionModel": "it is a whole UNet with motion modules: give the adapter and the UNet",
    "AnimateDiffPipeline": "it is a whole pipeline: give its folder motion_adapter",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapter:
    """Motion modules for a UNet, in fp32 on the CPU, by the names that diffusers has for them."""

    name: str
    layout: Layout
    weights: Mapping[str, Tensor]

    def module_weights(self, place: Place) -> dict[str, Tensor]:
        """Return the weights of one module, by their names in it."""
        prefix = f"{place.name}."
        return {
            name.removeprefix(prefix): weight
            for name, weight in self.weights.items()
            if name.startswith(prefix)
        }


def read_adapter(folder: Path, name: str = "") -> Adapter:
    """Read a MotionAdapter's folder; raise ModelError, saying what is wrong, for any other.

    name: that people know it by, where it is not the folder's.
    """
    name = name or folder.name
    try:
        if folder.is_file():
            raise ModelError(f"it is a file: give a folder with {CONFIG} and {WEIGHTS[0]}")
        layout = layout_of(_config(folder))
        weights = _weights(_weights_file(folder), layout)
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"motion adapter {name!r}: {folder} cannot be read: {reason}") from error
    except ModelError as error:
        raise ModelError(f"motion adapter {name!r}: {error}") from error
    return Adapter(name=name, layout=layout, weights=weights)


def shapes_of(layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights of an adapter, by name."""
    return {
        f"{place.name}.{name}": shape
        for place in layout.places
        for name, shape in _module_shapes(place)
    }


def _module_shapes(place: Place) -> Iterator[tuple[str, tuple[int, ...]]]:
    width = place.channels
    yield from _affine("norm", width)
    yield from _affine("proj_in", width, width)
    for number in range(place.depth):
        block = f"transformer_blocks.{number}"
        for norm in ("norm1", "norm2", "norm3"):
            yield from _affine(f"{block}.{norm}", width)
        for attention in (f"{block}.attn1", f"{block}.attn2"):
            for part in ("to_q", "to_k", "to_v"):
                yield f"{attention}.{part}.weight", (width, width)
            yield from _affine(f"{attention}.to_out.0", width, width)
        # A gate beside what it lets through, each of four times the width.
        yield from _affine(f"{block}.ff.net.0.proj", 8 * width, width)
        yield from _affine(f"{block}.ff.net.2", width, 4 * width)
    yield from _affine("proj_out", width, width)


def _affine(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _config(folder: Path) -> Mapping[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        pipeline = "; it is a whole pipeline" if (folder / "model_index.json").is_file() else ""
        raise ModelError(f"there is no {CONFIG} in {folder}{pipeline}: give a MotionAdapter's")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its {CONFIG} cannot be read as JSON ({error})") from error
    if not isinstance(config, dict):
        raise ModelError(f"its {CONFIG} holds a {type(config).__name__}, not a JSON object")
    kind = str(config.get("_class_name"))
    if kind != "MotionAdapter":
        raise ModelError(_REFUSED.get(kind, f"it is a {kind}") + ": required is a MotionAdapter")
    return config


def _weights_file(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    reason = f"; {pickled[0]} is not read, for it can run code: convert it" if pickled else ""
    raise ModelError(f"there is no {' or '.join(WEIGHTS)}{reason}")


def _weights(path: Path, layout: Layout) -> dict[str, Tensor]:
    """Return the weights in fp32; the names first, not to read gigabytes that are refused."""
    wanted = shapes_of(layout)
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            _check_shapes(found, wanted, layout)
            for name in found.keys() - wanted.keys():
                _check_positions(name, file.get_tensor(name))
            weights = {name: _sound(name, file.get_tensor(name)) for name in wanted}
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"its {path.name} is no sound safetensors file ({error})") from error
    return weights


def _check_shapes(
    found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], layout: Layout
) -> None:
    for name, shape in found.items():
        module = name.partition(".transformer_blocks.")[0]
        widths = {place.name: place.channels for place in layout.places}
        if name.endswith(f".{_POSITIONS}") and module in widths:
            expected: tuple[int, ...] = (1, layout.length, widths[module])
        elif name in wanted:
            expected = wanted[name]
        else:
            raise ModelError(f"it has weights {name!r} that its {CONFIG} does not tell of")
        if shape != expected:
            raise ModelError(
                f"its {name!r} is {list(shape)}: by its {CONFIG} it must be {list(expected)}"
            )
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        raise ModelError(f"{len(missing)} of its weights are missing, {missing[0]!r} first")


def _check_positions(name: str, table: Tensor) -> None:
    """Raise ModelError for other positions than sines, which are made anew where they are used."""
    expected = sinusoids(table.shape[1], table.shape[2])
    apart = float((table[0].float() - expected).abs().max())
    if not apart <= _ROUNDING:
        raise ModelError(f"its {name!r} holds no sinusoidal positions ({apart:.2g} apart)")


def _sound(name: str, weight: Tensor) -> Tensor:
    if not weight.is_floating_point():
        raise ModelError(f"its {name!r} is {weight.dtype}: supported are floats")
    copied = weight.to(torch.float32, copy=True)
    if not bool(torch.isfinite(copied).all()):
        raise ModelError(f"it has NaN or infinite weights ({name!r})")
    return copied
