"""LoRAs swapped on a GPU while a stream is drawn as one CUDA graph."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.control_schema import controls_from
from streamgen.frame import Frame, Stamp
from streamgen.lora.shelf import Shelf
from streamgen.models.engines import Engines, load_engines
from streamgen.pipeline import Pipeline

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SIZE = 128
LAYERS = ("conv_in", "conv_out", "time_embedding.linear_1")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    from streamgen.models.loading import load_model
    from streamgen.models.registry import find_model

    unet = load_model(find_model("tiny")).unet
    for seed, name in enumerate(("a", "b")):
        generator = torch.Generator().manual_seed(seed)
        tensors = {}
        for layer in LAYERS:
            out, *inputs = unet.get_submodule(layer).weight.shape
            ones = [1] * (len(inputs) - 1)
            key = f"unet.{layer}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(4, *inputs, generator=generator) * 0.1
            tensors[f"{key}.lora_B.weight"] = torch.randn(out, 4, *ones, generator=generator) * 0.1
        save_file(tensors, tmp_path / f"{name}.safetensors")
    return Shelf([tmp_path])


def drawn(engines: Engines, *, is_whole: bool) -> list[np.ndarray]:
    """Draw frames with no LoRA, with others in turn, and with none again."""
    pipeline = Pipeline(engines)
    if not is_whole:
        pipeline.steady = None
    assert is_whole == (pipeline.steady is not None)
    stream = pipeline.open_stream("one", controls_from({}))
    pictures = []
    for index in range(24):
        if index % 4 == 0 and index:
            loras = [["a"], ["b"], [{"name": "a", "scale": -0.5}, "b"], ["a"], []][index // 4 - 1]
            stream.revision = pipeline.reviser().revise(controls_from({"loras": loras}), index)
        pixels = np.random.default_rng(7).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        stamp = Stamp(index=index, pts=index, time_base=Fraction(1, 25), ingest_ns=index)
        [answer] = pipeline.tick([stream], [Frame(pixels=pixels, stamp=stamp)], index)
        pictures.append(answer.frame.pixels.astype(int))
    return pictures


@pytest.mark.parametrize("backend", ["torch", "inductor"])
def test_loras_are_swapped_under_graphs_and_leave_nothing_behind(
    tmp_path: Path, shelf: Shelf, backend: str
) -> None:
    config = StreamConfig(
        model="tiny",
        width=SIZE,
        height=SIZE,
        backend=backend,
        precision="fp32",
        device="cuda",
        swaps_weights=True,
    )
    engines = load_engines(config, EngineCache(tmp_path / "cache"), shelf=shelf)

    rows, whole = drawn(engines, is_whole=False), drawn(engines, is_whole=True)

    for one, other in zip(rows, whole, strict=True):
        assert np.abs(one - other).max() <= 1
    assert np.abs(whole[0] - whole[5]).max() > 10
    assert np.abs(whole[5] - whole[17]).max() <= 1
    assert np.abs(whole[0] - whole[23]).max() <= 1
