"""Makes frames, and files with sound, for the tests of sinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from streamgen.frame import Colour, Frame, Pixels, Stamp, VideoInfo

_SOUND_HZ = 48000


@dataclass(frozen=True, kw_only=True)
class Film:
    """Frames for a sink, and the info that goes with them."""

    info: VideoInfo
    frames: list[Frame]


@pytest.fixture
def make_film() -> Callable[..., Film]:
    def make(
        *,
        pts: Sequence[int] = tuple(range(10)),
        size: tuple[int, int] = (64, 48),
        rate: Fraction | None = Fraction(25),
        time_base: Fraction = Fraction(1, 25),
        colour: Colour | None = None,
        pixels: Pixels | None = None,
    ) -> Film:
        info = VideoInfo(
            width=size[0],
            height=size[1],
            rate=rate,
            time_base=time_base,
            frame_count=None,
            colour=colour or Colour(matrix="bt601"),
        )
        shape = (size[1], size[0], 3)
        frames = [
            Frame(
                pixels=np.full(shape, 10 + 20 * (n % 12), np.uint8) if pixels is None else pixels,
                stamp=Stamp(index=n, pts=tick, time_base=time_base, ingest_ns=0),
            )
            for n, tick in enumerate(pts)
        ]
        return Film(info=info, frames=frames)

    return make


@pytest.fixture
def make_sound(tmp_path: Path) -> Callable[..., Path]:
    """A stereo file, silent but for a burst of 20 ms; it begins `delay` seconds late."""

    def make(
        name: str, *, codec: str, seconds: float = 2.0, click_at: float = 0.3, delay: float = 0.0
    ) -> Path:
        samples = np.zeros(int(seconds * _SOUND_HZ), np.float32)
        begin = int((click_at - delay) * _SOUND_HZ)
        burst = np.sin(np.arange(_SOUND_HZ // 50) * 0.3) * 0.8
        samples[begin : begin + len(burst)] = burst
        with av.open(str(tmp_path / name), "w") as output:
            stream = output.add_stream(codec, rate=_SOUND_HZ)
            assert isinstance(stream, AudioStream)
            stream.codec_context.layout = "stereo"
            stream.codec_context.options = {"strict": "experimental"}  # for vorbis
            for start in range(0, len(samples), 960):
                both = np.stack([samples[start : start + 960]] * 2)
                block = AudioFrame.from_ndarray(both, "fltp", "stereo")
                block.sample_rate = _SOUND_HZ
                block.time_base = Fraction(1, _SOUND_HZ)
                block.pts = start + round(delay * _SOUND_HZ)
                output.mux(stream.encode(block))
            output.mux(stream.encode(None))
        return tmp_path / name

    return make


@pytest.fixture
def click_time() -> Callable[[Path], float]:
    """When the burst begins, in seconds of the file."""

    def find(path: Path) -> float:
        with av.open(str(path)) as container:
            for block in container.decode(audio=0):
                loud = np.abs(block.to_ndarray()).max(axis=0)
                above = np.flatnonzero(loud > 0.2)
                if len(above):
                    return (block.time or 0.0) + int(above[0]) / block.sample_rate
        raise AssertionError(f"no burst in {path}")

    return find
