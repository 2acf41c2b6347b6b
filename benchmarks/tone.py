"""A test tone that begins at a known time: put to a clip, and found again in what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

TONE_HZ = 1000
TONE_S = 0.2
RATE_HZ = 48000
_LOUDNESS = 0.5
_AUDIBLE = 0.1
_BLOCK = 1024
#: Codec of each variant and the container that takes it.
CODECS = {"aac": ".mp4", "pcm_s16le": ".mov"}


def add_tone(clip: Path, target: Path, *, codec: str, onset_s: float) -> None:
    """Write the pictures of a clip, not coded again, with a tone `onset_s` after the first one."""
    with av.open(f"file:{clip}", "r") as source, av.open(f"file:{target}", "w") as output:
        pictures = source.streams.video[0]
        copied = output.add_stream_from_template(pictures)
        sound = output.add_stream(codec, rate=RATE_HZ, layout="mono")
        assert isinstance(sound, AudioStream), "CODECS names codecs of sound"
        start_s, end_s = _span(source, pictures)
        length = round(max(end_s, onset_s + 2 * TONE_S) * RATE_HZ)
        wave = make_tone(length, onset=round((start_s + onset_s) * RATE_HZ))
        for frame in _blocks(wave):
            output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
        _copy(source, pictures, output=output, copied=copied)


def make_tone(length: int, *, onset: int) -> NDArray[np.float32]:
    """Return silence with a tone in it that begins at sample `onset`."""
    seconds = (np.arange(length) - onset) / RATE_HZ
    is_loud = (seconds >= 0) & (seconds < TONE_S)
    # A cosine is loud from its first sample on.
    tone = _LOUDNESS * np.cos(2 * np.pi * TONE_HZ * seconds)
    return np.where(is_loud, tone, 0).astype(np.float32)


def find_onset(path: Path) -> float | None:
    """Return when the sound of a file begins, in seconds after its first picture; None: never."""
    first = _first_picture(path)
    with av.open(f"file:{path}", "r") as container:
        if not container.streams.audio:
            return None
        resampler = AudioResampler(format="fltp", layout="mono", rate=RATE_HZ)
        for decoded in container.decode(audio=0):
            for frame in resampler.resample(decoded):
                loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > _AUDIBLE)
                if len(loud):
                    return float(_time(frame) + Fraction(int(loud[0]), RATE_HZ) - first)
    return None


def _span(source: InputContainer, pictures: VideoStream) -> tuple[float, float]:
    """Return begin and end of the pictures in seconds of the file."""
    time_base = pictures.time_base or Fraction(1, 1000)
    begin = float((pictures.start_time or 0) * time_base)
    if pictures.duration:
        return begin, begin + float(pictures.duration * time_base)
    return begin, begin + (source.duration or 0) / av.time_base


def _copy(
    source: InputContainer, pictures: VideoStream, *, output: OutputContainer, copied: VideoStream
) -> None:
    packet: Packet[VideoStream]
    for packet in source.demux(pictures):
        if packet.dts is not None:
            packet.stream = copied
            output.mux(packet)


def _blocks(wave: NDArray[np.float32]) -> Iterator[AudioFrame]:
    """Yield the wave as 16 bit frames with their times."""
    levels = np.round(wave * 32767).astype(np.int16)
    for begin in range(0, len(levels), _BLOCK):
        part = np.ascontiguousarray(levels[None, begin : begin + _BLOCK])
        frame = AudioFrame.from_ndarray(part, format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = begin
        frame.time_base = Fraction(1, RATE_HZ)
        yield frame


def _first_picture(path: Path) -> Fraction:
    """Return the time of the first picture in seconds of the file."""
    with av.open(f"file:{path}", "r") as container:
        picture = next(container.decode(video=0))
    return _time(picture)


def _time(frame: AudioFrame | VideoFrame) -> Fraction:
    """Return a frame's time in seconds of its file; one without is at the beginning."""
    if frame.pts is None or frame.time_base is None:
        return Fraction(0)
    return frame.pts * frame.time_base
