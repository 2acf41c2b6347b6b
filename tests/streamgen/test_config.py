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


def test_motion_that_cannot_be_is_refused_with_what_is_allowed():
    def config(**motion):
        return StreamConfig(model="tiny", width=64, height=64, **motion)

    config(motion="a-folder", motion_window=8, motion_sinks=6, motion_memory_mb=100)
    for given, said in (
        ({"motion": ""}, "motion '': give the name of an adapter, a folder, 'auto' or 'none'"),
        ({"motion_window": 1}, "motion_window 1: give a whole number from 2 on"),
        ({"motion_sinks": -1}, "motion_sinks -1: give a whole number from 0 on"),
        ({"motion_memory_mb": 0}, "motion_memory_mb 0: give a whole number from 1 on"),
        ({"motion": "none", "motion_window": 8}, "motion_window 8: there is no motion adapter"),
        ({"motion_window": 8, "motion_sinks": 7}, "motion_sinks 7: of a window of 8 .* at most 6"),
    ):
        with pytest.raises(ConfigError, match=said):
            config(**given)
