"""How much memory a model, and each set of LoRAs, will take, guessed before it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from streamgen.admission import MIB, Limits
from streamgen.config import MOTION_MEMORY_MB, NO_MOTION, StreamConfig
from streamgen.errors import ConfigError, ModelError, StreamgenError
from streamgen.models.registry import find_model, with_motion
from streamgen.models.remembering import LEAST_SLOTS, MOST_SLOTS
from streamgen.motion.adapter import CONFIG as ADAPTER_CONFIG
from streamgen.motion.budget import MotionMemory, row_bytes
from streamgen.motion.layouts import layout_of
from streamgen.motion.ring_file import ring_of
from streamgen.motion.table import adapter_folder, find_adapter

#: Weights in fp32 beside the backend's own copy, for files in fp16.
TIMES_WEIGHTS = 6
#: Activations of the autoencoder, the largest there are.
BYTES_A_PIXEL = 2000
#: One more UNet compiled, beside the weights that are there: measured 3.7 with OpenVINO, 2.5 with
#: ONNX Runtime, of fp32; torch shares what no LoRA changes.
TIMES_UNET = 4
#: Of a side that make one latent pixel, as it is with most autoencoders.
_PIXELS = 8


def needed_bytes(config: StreamConfig) -> int:
    """Return a rough upper guess; 0 for a model of the hub, of which nothing is known here."""
    try:
        row = find_model(config.model)
    except ModelError:
        return 0  # loading it will say what is wrong
    if row.is_on_hub:
        return 0
    folder = Path(row.location)
    needed = TIMES_WEIGHTS * _weights(folder) + BYTES_A_PIXEL * config.width * config.height
    name = with_motion(row, config.motion).motion
    return needed if name == NO_MOTION else needed + _motion_bytes(name, config, folder / "unet")


def _motion_bytes(name: str, config: StreamConfig, unet: Path) -> int:
    """Return what a motion adapter takes, and one more denoiser with it; 0 for one of the hub."""
    try:
        row = find_adapter(name)
        if row.is_on_hub:
            return 0
        folder = adapter_folder(row)
        rows = _rows_bytes(folder, config)
    except (StreamgenError, OSError, ValueError):
        return 0  # as above
    return TIMES_WEIGHTS * _weights(folder) + TIMES_UNET * _weights(unet) + rows


def _rows_bytes(folder: Path, config: StreamConfig) -> int:
    """Return what rings take: of a few rows on a CPU, which has no others before they are used."""
    layout = layout_of(json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")))
    window, sinks = config.motion_window, config.motion_sinks
    ring = ring_of(folder, window=window, sinks=sinks, length=layout.length)
    memory = MotionMemory(rings=(ring,) * len(layout.widths), kind="float32")
    latent = config.height // _PIXELS, config.width // _PIXELS
    has_gpu = config.device != "cpu" and torch.cuda.is_available()
    rows = MOST_SLOTS if has_gpu else LEAST_SLOTS
    most = config.motion_memory_mb or MOTION_MEMORY_MB
    return min(rows * row_bytes(layout.places, memory, latent=latent), most * MIB)


def _weights(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def check_memory(unet: nn.Module, *, is_eager: bool, free_bytes: int | None) -> None:
    """Raise ConfigError where a UNet with other LoRAs has no room beside those that are there.

    is_eager: run by torch as it is. free_bytes: None where nothing tells.
    """
    weights = sum(each.nbytes for each in unet.parameters())
    needed = weights if is_eager else TIMES_UNET * weights
    room = None if free_bytes is None else free_bytes - Limits().reserve_bytes
    if room is not None and needed > room:
        raise ConfigError(
            f"loras: another set of them needs about {needed / MIB:.0f} MiB and"
            f" {max(room, 0) / MIB:.0f} MiB are free: take those that another stream has, or close"
            " a stream"
        )
