"""A short clip, the engines of the built-in model at 64x64, and a clock that counts."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from engines.cache import EngineCache
from streamgen.config import StreamConfig
from streamgen.models.engines import Engines, load_engines

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
