"""A short clip, engines at 64x64, a clock that counts, and a report without a measurement."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from benchmarks.report import Report
from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.controls import Controls
from streamgen.models.engines import Engines, load_engines
from streamgen.pipeline import Pipeline
from streamgen.rows import Revision

CLIP_FRAMES = 6
RATE = Fraction(25)


def write_clip(path: Path, *, frames: int = CLIP_FRAMES) -> Path:
    """A square that walks over a gradient."""
    background = np.linspace(40, 200, 96).astype(np.uint8)[None, :, None].repeat(64, axis=0)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = 1 / RATE
        for number in range(frames):
            pixels = background.repeat(3, axis=2)
            pixels[16:48, 8 + 6 * number : 40 + 6 * number] = (220, 60, 30)
            picture = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            picture.pts, picture.time_base = number, 1 / RATE
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Engines:
    config = StreamConfig(model="tiny", width=64, height=64, backend="torch", device="cpu")
    return load_engines(config, EngineCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def millisecond_clock() -> Callable[[], int]:
    """A clock that moves on by a millisecond whenever somebody looks at it."""
    ticks = count(0, 1_000_000)
    return lambda: next(ticks)


@pytest.fixture(scope="session")
def img2img_folder(
    save_small_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A model that predicts noise, with Euler's scheduler."""
    folder = tmp_path_factory.mktemp("models") / "img2img"
    return save_small_model(folder, unet={"sample_size": 64})


@pytest.fixture(scope="session")
def img2img(img2img_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Engines:
    name = str(img2img_folder)
    config = StreamConfig(model=name, width=64, height=64, backend="torch", device="cpu")
    return load_engines(config, EngineCache(tmp_path_factory.mktemp("cache")))


def revision_of(engines: Engines, **controls: object) -> Revision:
    """What a stream with these controls draws with."""
    return Pipeline(engines).open_stream("test", Controls(**controls)).revision


@pytest.fixture
def revise() -> Callable[..., Revision]:
    return revision_of


@pytest.fixture
def report() -> Report:
    """What a measurement of one size, two streams and a rival on an idle machine tells."""
    laps = {"p50": 10.0, "p95": 12.0, "p99": 13.0}
    machine = {
        "cpu": "A Processor",
        "cores": 2,
        "flags": [],
        "memory_gib": 8.0,
        "gpu": None,
        "os": "Some System",
        "python": "3.11.0",
        "others_share_before": 0.0,
        "others_share_during": 0.0,
        "busy": False,
    }
    rival = {"fps": 10.0, "ratio": 10.0, "best_fps": 20.0, "best_ratio": 5.0, "reason": None}
    forms = {"form": "fp32", "best_form": "channels_last, bf16", "frames_per_turn": 30}
    return {
        "fps": 100.0,
        "frame_ms": {**laps, "runs": [10.0]},
        "stages": {"convert": laps, "denoise": laps, "frame": laps},
        "denoising": {"stream": {"fps": 100.0, "delay_frames": 0, "runs": [100.0]}},
        "config": {
            "model": "tiny",
            "size": "64x64",
            "steps": 1,
            "backend": "torch",
            "precision": "fp32",
            "device": "cpu",
            "guidance": "none",
        },
        "machine": machine,
        "versions": {"streamgen": "0.1.0", "commit": None, "dirty": None},
        "streams": [{"count": 2, "fps": 120.0, "shares": [0.5, 0.5], "round_ms": laps}],
        "compare": {"diffusers": {**rival, **forms}},
        "energy_j_per_frame": None,
        "energy": {"source": None, "reason": "there are no counters"},
    }
