from __future__ import annotations

import pytest

from streamgen.config import StreamConfig
from streamgen.errors import ConfigError


def test_loras_and_fp8_exclude_each_other_before_anything_is_loaded():
    with pytest.raises(ConfigError, match="'fp8': LoRAs cannot be put into it.*use bf16, or run"):
        StreamConfig(model="tiny", width=64, height=64, precision="fp8", swaps_weights=True)
    for precision in ("int8", "bf16", "auto"):  # int8 is the autoencoder's, no LoRA is for that
        StreamConfig(model="tiny", width=64, height=64, precision=precision, swaps_weights=True)
    StreamConfig(model="tiny", width=64, height=64, precision="fp8")
