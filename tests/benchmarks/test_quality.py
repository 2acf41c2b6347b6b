from __future__ import annotations

from rich.console import Console

from benchmarks.clip import SAMPLE
from benchmarks.quality import print_quality, quality_facts
from streamgen.config import StreamConfig
from streamgen.controls import Controls
from streamgen.models.engines import load_engines


def test_quality_of_fresh_noise_is_worse_than_of_fixed_noise() -> None:
    engines = load_engines(StreamConfig(model="tiny", width=64, height=64, backend="torch"))

    fresh, fixed = (
        quality_facts(engines, Controls(noise=noise), SAMPLE) for noise in ("fresh", "fixed")
    )

    assert fixed["warp_error"] < fresh["warp_error"]
    assert fixed["input_warp_error"] == fresh["input_warp_error"]
    assert fixed["frames"] == 48


def test_figures_are_printed_in_one_row() -> None:
    names = ("warp_error", "input_warp_error", "flicker", "sharpness", "edge_ssim", "lag")
    console = Console(record=True, width=120)

    print_quality({"frames": 48} | dict.fromkeys(names, 0.0015), console)

    text = console.export_text()
    assert "quality of 48 frames" in text
    assert text.count("1.500") == 2
