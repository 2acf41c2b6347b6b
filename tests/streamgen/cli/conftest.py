"""Runs commands in this process, and makes the small files that they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import diffusers
import numpy as np
import pytest
import transformers
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.video.frame import VideoFrame

from streamgen.cli import main

SOUND_HZ = 48000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command left: its exit code and what it said."""

    code: int
    out: str
    err: str


Streamgen = Callable[..., Outcome]


@pytest.fixture(scope="session", autouse=True)
def quiet_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compile into a folder of this session; keep libraries, imported long ago, from talking."""
    diffusers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("STREAMGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
    transformers.utils.logging.enable_progress_bar()


@pytest.fixture
def streamgen(capsys: pytest.CaptureFixture[str]) -> Streamgen:
    def run(*arguments: object) -> Outcome:
        code = main([str(each) for each in arguments])
        said = capsys.readouterr()
        return Outcome(code=code, out=said.out, err=said.err)

    return run


def write_clip(
    path: Path, *, frames: int = 6, size: tuple[int, int] = (96, 64), sound: bool = False
) -> Path:
    """A video of noise that stays put, with its index in front, so that it can be cut off."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as output:
        stream = output.add_stream("libx264", rate=25)
        context = stream.codec_context
        context.width, context.height = size
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 25)
        context.options = {"preset": "ultrafast", "g": "1"}
        audio = output.add_stream("aac", rate=SOUND_HZ) if sound else None
        for tick in range(frames):
            picture = VideoFrame.from_ndarray(np.roll(pixels, tick, axis=1), format="rgb24")
            picture.pts, picture.time_base = tick, Fraction(1, 25)
            output.mux(stream.encode(picture.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
        if audio is not None:
            write_silence(output, audio, blocks=frames * 2)
    return path


def write_silence(output: OutputContainer, stream: av.AudioStream, *, blocks: int) -> None:
    for number in range(blocks):
        block = AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        block.sample_rate, block.time_base = SOUND_HZ, Fraction(1, SOUND_HZ)
        block.pts = number * 1024
        output.mux(stream.encode(block))
    output.mux(stream.encode(None))


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    return lambda name="clip.mp4", **kinds: write_clip(tmp_path / name, **kinds)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture
def sound_only(tmp_path: Path) -> Path:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as output:
        write_silence(output, output.add_stream("aac", rate=SOUND_HZ), blocks=20)
    return path


@pytest.fixture(scope="session")
def small_folder(
    save_small_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return save_small_model(tmp_path_factory.mktemp("models") / "small")
