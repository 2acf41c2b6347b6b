from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame

from streamgen.errors import SinkError
from streamgen.sinks import open_sink

MakeFilm = Callable[..., Any]
MakeSound = Callable[..., Path]
ClickTime = Callable[[Path], float]
FRAME_S = 1 / 25


def write(path: Path, film: Any, audio: Path) -> list[str]:
    with open_sink(path, film.info, audio=audio) as sink:
        for frame in film.frames:
            sink.write(frame)
    return sink.notes


def sound_of(path: Path) -> tuple[str, float]:
    """Codec and end in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        blocks = list(container.decode(stream))
        last = blocks[-1]
        end = (last.time or 0.0) + last.samples / last.sample_rate
        return stream.codec_context.codec.canonical_name, end


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("sound.m4a", "aac"),
        ("sound.ts", "aac"),
        ("sound.mp3", "libmp3lame"),
        ("sound.mkv", "ac3"),
        ("sound.opus", "libopus"),
    ],
)
def test_sound_that_mp4_takes_is_copied_in_step(
    tmp_path: Path,
    make_film: MakeFilm,
    make_sound: MakeSound,
    click_time: ClickTime,
    name: str,
    codec: str,
) -> None:
    sound = make_sound(name, codec=codec, click_at=0.7)
    notes = write(tmp_path / "out.mp4", make_film(pts=range(50)), sound)
    assert notes == []
    assert sound_of(tmp_path / "out.mp4")[0] == sound_of(sound)[0]
    assert click_time(tmp_path / "out.mp4") == pytest.approx(click_time(sound), abs=FRAME_S)


def test_copied_packets_are_the_same_bytes(
    tmp_path: Path, make_film: MakeFilm, make_sound: MakeSound
) -> None:
    sound = make_sound("sound.m4a", codec="aac")
    write(tmp_path / "out.mp4", make_film(pts=range(60)), sound)
    with av.open(str(sound)) as given, av.open(str(tmp_path / "out.mp4")) as written:
        first = [bytes(packet) for packet in given.demux(audio=0) if packet.size]
        second = [bytes(packet) for packet in written.demux(audio=0) if packet.size]
    assert first == second


@pytest.mark.parametrize(("name", "codec"), [("sound.wav", "pcm_s16le"), ("sound.mkv", "vorbis")])
def test_other_sound_is_made_aac_in_step_and_said_so(
    tmp_path: Path,
    make_film: MakeFilm,
    make_sound: MakeSound,
    click_time: ClickTime,
    name: str,
    codec: str,
) -> None:
    sound = make_sound(name, codec=codec, click_at=0.7)
    notes = write(tmp_path / "out.mp4", make_film(pts=range(50)), sound)
    assert len(notes) == 1 and "was made AAC" in notes[0]
    assert sound_of(tmp_path / "out.mp4")[0] == "aac"
    assert click_time(tmp_path / "out.mp4") == pytest.approx(0.7, abs=FRAME_S)


def test_sound_that_begins_late_stays_late(
    tmp_path: Path, make_film: MakeFilm, make_sound: MakeSound, click_time: ClickTime
) -> None:
    sound = make_sound("sound.mkv", codec="aac", delay=0.5, click_at=0.9)
    write(tmp_path / "out.mp4", make_film(pts=range(50)), sound)
    assert click_time(tmp_path / "out.mp4") == pytest.approx(0.9, abs=FRAME_S)


def test_a_film_and_sound_that_begin_late_move_together(
    tmp_path: Path, make_film: MakeFilm, make_sound: MakeSound, click_time: ClickTime
) -> None:
    sound = make_sound("sound.mkv", codec="aac", delay=1.0, click_at=1.6)
    film = make_film(pts=range(30, 80))  # begins at 1.2 s
    write(tmp_path / "out.mp4", film, sound)
    with av.open(str(tmp_path / "out.mp4")) as container:
        first = next(container.decode(video=0))
        film_begins = first.time
    assert film_begins == pytest.approx(0.2, abs=FRAME_S)
    assert click_time(tmp_path / "out.mp4") - film_begins == pytest.approx(0.4, abs=FRAME_S)


@pytest.mark.parametrize(("name", "codec"), [("s.m4a", "aac"), ("s.wav", "pcm_s16le")])
def test_sound_is_cut_where_the_film_ends(
    tmp_path: Path, make_film: MakeFilm, make_sound: MakeSound, name: str, codec: str
) -> None:
    sound = make_sound(name, codec=codec, seconds=3.0)
    write(tmp_path / "out.mp4", make_film(pts=range(20)), sound)
    assert sound_of(tmp_path / "out.mp4")[1] == pytest.approx(0.8, abs=FRAME_S)


def test_uneven_frames_keep_the_sound_in_step(
    tmp_path: Path, make_film: MakeFilm, make_sound: MakeSound, click_time: ClickTime
) -> None:
    sound = make_sound("sound.m4a", codec="aac", click_at=0.7)
    film = make_film(pts=[0, 30, 700, 720, 1500], time_base=Fraction(1, 1000))
    write(tmp_path / "out.mp4", film, sound)
    assert click_time(tmp_path / "out.mp4") == pytest.approx(0.7, abs=FRAME_S)


def test_sound_that_breaks_off_is_said(
    tmp_path: Path, make_film: MakeFilm, make_sound: MakeSound
) -> None:
    sound = make_sound("sound.m4a", codec="aac")
    film = make_film(pts=range(50))
    sound.write_bytes(sound.read_bytes()[:300])
    with pytest.raises(SinkError, match="sound of '.*sound.m4a' cannot be read"):
        open_sink(tmp_path / "out.mp4", film.info, audio=sound)
    assert not list(tmp_path.glob(".*"))


def test_a_silent_file_adds_no_sound(tmp_path: Path, make_film: MakeFilm) -> None:
    film = make_film()
    with open_sink(tmp_path / "silent.mp4", film.info) as sink:
        sink.write(film.frames[0])
    write(tmp_path / "out.mp4", film, tmp_path / "silent.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams.audio) == 0


def test_slow_mp3_becomes_aac_in_mp4_and_stays_in_mov(tmp_path: Path, make_film: MakeFilm) -> None:
    slow = tmp_path / "slow.mp3"
    with av.open(str(slow), "w") as output:
        stream = output.add_stream("libmp3lame", rate=8000)
        stream.codec_context.layout = "mono"
        block = AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        block.sample_rate, block.time_base, block.pts = 8000, Fraction(1, 8000), 0
        output.mux(stream.encode(block))
        output.mux(stream.encode(None))
    notes = write(tmp_path / "film.mp4", make_film(), slow)
    assert len(notes) == 1 and "(mp3) was made AAC" in notes[0]
    assert sound_of(tmp_path / "film.mp4")[0] == "aac"
    assert write(tmp_path / "film.mov", make_film(), slow) == []
