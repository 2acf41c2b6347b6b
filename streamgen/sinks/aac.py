"""An AAC stream with the channels of any sound; knows no packets."""

from __future__ import annotations

from dataclasses import dataclass

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import OutputContainer

_FALLBACK_HZ = 48000
# What channels without names are taken for, by their count.
_USUAL_LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "2.1",
    4: "4.0",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Names of layouts: what the sound has, and what AAC gets of it."""

    given: str
    kept: str


def channels_for(layout: AudioLayout) -> Channels | None:
    """Choose the channels; None where nothing tells what the given ones are."""
    count, given = layout.nb_channels, layout.name
    if given.endswith(" channels"):  # libav's name for channels without names
        usual = _USUAL_LAYOUTS.get(count)
        return Channels(given=usual, kept=usual) if usual else None
    smaller = ("5.1", "stereo") if count > 6 else ("stereo",)
    kept = next(name for name in (given, *smaller) if name == "stereo" or _is_taken(name))
    return Channels(given=given, kept=kept)


def add_aac(output: OutputContainer, stream: AudioStream, *, channels: Channels) -> AudioStream:
    """Add an AAC stream with the sampling rate of `stream` where AAC has it."""
    allowed_hz = av.Codec("aac", "w").audio_rates or [_FALLBACK_HZ]
    rate_hz = stream.codec_context.sample_rate
    added = output.add_stream("aac", rate=rate_hz if rate_hz in allowed_hz else _FALLBACK_HZ)
    added.codec_context.layout = channels.kept
    return added


def _is_taken(layout: str) -> bool:
    """Try whether the encoder takes these channels: it has no list that can be asked."""
    context = av.CodecContext.create("aac", "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate, context.format, context.layout = _FALLBACK_HZ, "fltp", layout
    try:
        context.open()
    except av.FFmpegError:
        return False
    return True
