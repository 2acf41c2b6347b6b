"""How much memory a model will take, guessed before it is loaded."""

from __future__ import annotations

from pathlib import Path

from streamgen.config import StreamConfig
from streamgen.errors import ModelError
from streamgen.models.registry import find_model

#: Weights in fp32 beside the backend's own copy, for files in fp16.
TIMES_WEIGHTS = 6
#: Activations of the autoencoder, the largest there are.
BYTES_A_PIXEL = 2000


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
