"""How much memory a model, and each set of LoRAs, will take, guessed before it is loaded."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from streamgen.admission import MIB, Limits
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError, ModelError
from streamgen.models.registry import find_model

#: Weights in fp32 beside the backend's own copy, for files in fp16.
TIMES_WEIGHTS = 6
#: Activations of the autoencoder, the largest there are.
BYTES_A_PIXEL = 2000
#: One more UNet compiled, beside the weights that are there: measured 3.7 with OpenVINO, 2.5 with
#: ONNX Runtime, of fp32; torch shares what no LoRA changes.
TIMES_UNET = 4


def needed_bytes(config: StreamConfig) -> int:
    """Return a rough upper guess; 0 for a model of the hub, of which nothing is known here."""
    try:
        row = find_model(config.model)
    except ModelError:
        return 0  # loading it will say what is wrong
    if row.is_on_hub:
        return 0
    folder = Path(row.location)
    weights = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    return TIMES_WEIGHTS * weights + BYTES_A_PIXEL * config.width * config.height


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
