"""Makes small video files of the odd kinds that the tests of sources need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from streamgen.frame import Pixels

MakeClip = Callable[..., Path]


def quadrants(width: int = 64, height: int = 48) -> Pixels:
    """Four flat corners: red, green over blue, white."""
    pixels = np.zeros((height, width, 3), np.uint8)
    half_height, half_width = height // 2, width // 2
    pixels[:half_height, :half_width] = 200, 30, 30
    pixels[:half_height, half_width:] = 30, 200, 30
    pixels[half_height:, :half_width] = 30, 30, 200
    pixels[half_height:, half_width:] = 235, 235, 235
    return pixels


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What is odd about a video file."""

    pixels: Pixels = field(default_factory=quadrants)
    pts: Sequence[int] = tuple(range(8))
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    time_base: Fraction = Fraction(1, 25)
    sample_aspect: Fraction = Fraction(1)
    rotation: tuple[int, bool, bool] | None = None
    spc: int = 2
    swscale: Colorspace = Colorspace.ITU601
    full_range: bool | None = None


def write_clip(path: Path, clip: Clip) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(clip.codec, rate=25)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.height, context.width = clip.pixels.shape[:2]
        context.pix_fmt, context.colorspace = clip.pix_fmt, clip.spc
        context.time_base = clip.time_base
        context.sample_aspect_ratio = clip.sample_aspect
        color_range = ColorRange.JPEG if clip.full_range else ColorRange.MPEG
        if clip.codec == "libx264":
            context.options = {"crf": "4", "g": "4"}
        if clip.full_range is not None:
            context.color_range = color_range
        if clip.rotation:
            degrees, hflip, vflip = clip.rotation
            stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        for tick in clip.pts:
            picture = VideoFrame.from_ndarray(clip.pixels, format="rgb24").reformat(
                format=clip.pix_fmt,
                dst_colorspace=clip.swscale,
                dst_color_range=color_range,
            )
            picture.pts, picture.time_base = tick, clip.time_base
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    def make(name: str = "clip.mp4", **odd: Any) -> Path:
        return write_clip(tmp_path / name, Clip(**odd))

    return make


@pytest.fixture
def corners() -> Pixels:
    return quadrants()
