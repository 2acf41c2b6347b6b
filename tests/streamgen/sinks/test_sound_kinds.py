"""What becomes of the sound in each kind of file, and of its channels."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from streamgen.sinks import open_sink

MakeFilm = Callable[..., Any]
MakeSound = Callable[..., Path]
ClickTime = Callable[[Path], float]
MakeChannels = Callable[..., Path]
HZ = 48000
FRAME_S = 1 / 25


@pytest.fixture
def make_channels(tmp_path: Path) -> MakeChannels:
    """A second of one tone in the channel `loud`, silence in the others."""

    def make(name: str, *, codec: str, layout: str, loud: int) -> Path:
        tone = (np.sin(np.arange(HZ) * 0.05) * 8000).astype(np.int16)
        with av.open(str(tmp_path / name), "w") as output:
            stream = output.add_stream(codec, rate=HZ, layout=layout)
            assert isinstance(stream, AudioStream)
            samples = np.zeros((HZ, stream.codec_context.layout.nb_channels), np.int16)
            samples[:, loud] = tone
            for start in range(0, HZ, 4800):
                part = samples[start : start + 4800].reshape(1, -1)
                block = AudioFrame.from_ndarray(part, "s16", layout)
                block.sample_rate, block.time_base = HZ, Fraction(1, HZ)
                block.pts = start
                output.mux(stream.encode(block))
            output.mux(stream.encode(None))
        return tmp_path / name

    return make


def write(path: Path, film: Any, audio: Path) -> list[str]:
    with open_sink(path, film.info, audio=audio) as sink:
        for frame in film.frames:
            sink.write(frame)
    return sink.notes


def codec_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.streams.audio[0].codec_context.codec.canonical_name)


def loudness(path: Path) -> list[float]:
    """Of each channel, in the order of the layout."""
    packed = av.AudioResampler("flt")  # PyAV 18.1 crashes on 8 channels that are not packed
    with av.open(str(path)) as container:
        blocks = [
            part.to_ndarray().reshape(-1, part.layout.nb_channels)
            for block in container.decode(audio=0)
            for part in packed.resample(block)
        ]
    samples = np.concatenate(blocks).astype(np.float64)
    powers = np.sqrt((samples**2).mean(axis=0))
    return [float(power) for power in powers / powers.max()]


@pytest.mark.parametrize(("name", "codec"), [("s.opus", "libopus"), ("s.flac", "flac")])
def test_sound_that_only_mp4_takes_is_made_aac_in_mov(
    tmp_path: Path, make_film: MakeFilm, make_channels: MakeChannels, name: str, codec: str
) -> None:
    sound = make_channels(name, codec=codec, layout="stereo", loud=0)
    canonical = codec_of(sound)
    assert write(tmp_path / "o.mp4", make_film(), sound) == []
    assert codec_of(tmp_path / "o.mp4") == canonical
    notes = write(tmp_path / "o.mov", make_film(), sound)
    assert notes == [f"the sound ({canonical}) was made AAC: mov does not take it as it is"]
    assert codec_of(tmp_path / "o.mov") == "aac"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("s.wav", "pcm_s16le"),
        ("s.mkv", "pcm_s24le"),
        ("s.aiff", "pcm_s16be"),
        ("s.au", "pcm_mulaw"),
    ],
)
def test_raw_sound_is_copied_into_mov_in_step(
    tmp_path: Path,
    make_film: MakeFilm,
    make_sound: MakeSound,
    click_time: ClickTime,
    name: str,
    codec: str,
) -> None:
    sound = make_sound(name, codec=codec, click_at=0.7)
    assert write(tmp_path / "o.mov", make_film(pts=range(50)), sound) == []
    assert codec_of(tmp_path / "o.mov") == codec_of(sound)
    with av.open(str(tmp_path / "o.mov")) as container:
        assert container.streams.audio[0].duration is not None
    notes = write(tmp_path / "o.mp4", make_film(pts=range(50)), sound)
    assert notes == [f"the sound ({codec}) was made AAC: mp4 does not take it as it is"]


def test_raw_sound_in_mov_begins_when_it_should(
    tmp_path: Path, make_film: MakeFilm, make_channels: MakeChannels
) -> None:
    sound = make_channels("s.wav", codec="pcm_s16le", layout="stereo", loud=1)
    write(tmp_path / "o.mov", make_film(pts=range(50)), sound)
    with av.open(str(sound)) as given, av.open(str(tmp_path / "o.mov")) as written:
        first = np.concatenate([block.to_ndarray() for block in given.decode(audio=0)], axis=1)
        second = np.concatenate([block.to_ndarray() for block in written.decode(audio=0)], axis=1)
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("layout", "loud"), [("mono", 0), ("stereo", 1), ("3.0", 2), ("5.1", 2), ("7.1", 6)]
)
def test_sound_made_aac_keeps_its_channels(
    tmp_path: Path, make_film: MakeFilm, make_channels: MakeChannels, layout: str, loud: int
) -> None:
    sound = make_channels("s.mkv", codec="pcm_s16le", layout=layout, loud=loud)
    notes = write(tmp_path / "o.mp4", make_film(pts=range(20)), sound)
    assert len(notes) == 1 and "was made AAC" in notes[0] and "channels" not in notes[0]
    powers = loudness(tmp_path / "o.mp4")
    assert len(powers) == av.AudioLayout(layout).nb_channels
    assert [power > 0.5 for power in powers].index(True) == loud
    assert sum(power > 0.1 for power in powers) == 1


def test_channels_without_names_get_the_usual_ones(tmp_path: Path, make_film: MakeFilm) -> None:
    import wave

    with wave.open(str(tmp_path / "s.wav"), "wb") as sound:
        sound.setparams((6, 2, HZ, 0, "NONE", ""))
        sound.writeframes(np.full((HZ, 6), 900, np.int16).tobytes())
    notes = write(tmp_path / "o.mp4", make_film(), tmp_path / "s.wav")
    assert len(notes) == 1 and "was made AAC" in notes[0]
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.audio[0].codec_context.layout.name == "5.1"


@pytest.mark.parametrize(("layout", "becomes"), [("7.1.4", "5.1"), ("5.1.2", "5.1")])
def test_channels_that_aac_cannot_hold_are_mixed_down_and_said(
    tmp_path: Path, make_film: MakeFilm, make_channels: MakeChannels, layout: str, becomes: str
) -> None:
    sound = make_channels("s.mov", codec="pcm_s16le", layout=layout, loud=0)
    notes = write(tmp_path / "o.mp4", make_film(), sound)
    assert notes[1:] == [f"the sound was mixed from {layout} down to {becomes} channels"]
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.audio[0].codec_context.layout.name == becomes


def test_channels_that_cannot_be_mixed_are_left_out_and_said(
    tmp_path: Path, make_film: MakeFilm
) -> None:
    import wave

    with wave.open(str(tmp_path / "s.wav"), "wb") as sound:
        sound.setparams((11, 2, HZ, 0, "NONE", ""))
        sound.writeframes(np.zeros((HZ, 11), np.int16).tobytes())
    notes = write(tmp_path / "o.mp4", make_film(), tmp_path / "s.wav")
    assert notes == [
        f"the sound of '{tmp_path}/s.wav' was left out: nothing tells what its 11 channels are"
    ]
