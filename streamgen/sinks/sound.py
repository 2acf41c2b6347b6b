"""The sound that goes with a video: copied where the file takes it, else AAC; knows no pixels."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard

from streamgen.errors import SinkError
from streamgen.sinks.aac import add_aac, channels_for

_ANYWHERE = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_RAW = frozenset({"pcm_s8", "pcm_u8", "pcm_mulaw", "pcm_alaw"}) | {
    f"pcm_{sample}{order}"
    for sample in ("s16", "s24", "s32", "f32", "f64")
    for order in ("le", "be")
}
#: What is carried over as it is, by the container's name.
COPIED_CODECS = {"mp4": _ANYWHERE | {"opus", "flac"}, "mov": _ANYWHERE | _RAW}
#: MP3 of fewer samples per second is MPEG-2.5, for which MP4 has no place.
_MP3_IN_MP4_HZ = 16_000

AudioPackets: TypeAlias = "Generator[Packet[AudioStream], None, None]"


def open_sound(path: Path, output: OutputContainer, *, notes: list[str]) -> Sound | None:
    """Open the first audio stream of a file and add its like to `output`; None if it has none.

    notes: gets a sentence where the sound is not carried over as it is.
    """
    try:
        container = av.open(f"file:{path}", "r")
    except (av.FFmpegError, OSError) as error:
        raise SinkError(f"the sound of '{path}' cannot be read: {error.strerror}") from error
    stream = container.streams.audio[0] if container.streams.audio else None
    packets = None if stream is None else _add(container, stream, output, notes=notes)
    if stream is None or packets is None:
        container.close()
        return None
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    return Sound(container, stream, packets=packets, output=output, notes=notes)


class Sound:
    """One audio stream on its way into a file, fed as far as the video has got."""

    def __init__(
        self,
        container: InputContainer,
        stream: AudioStream,
        *,
        packets: AudioPackets,
        output: OutputContainer,
        notes: list[str],
    ) -> None:
        self._container = container
        self._stream = stream
        self._packets = packets
        self._output = output
        self._notes = notes
        self._ahead: Packet[AudioStream] | None = None

    @property
    def start(self) -> Fraction:
        """When the sound begins, in seconds of the source."""
        ticks, time_base = self._stream.start_time, self._stream.time_base
        return ticks * time_base if ticks is not None and time_base else Fraction(0)

    def mux_until(self, end: Fraction, *, origin: Fraction) -> None:
        """Write what begins before `end`, in seconds of the source; `origin` becomes 0."""
        while (packet := self._peek()) is not None:
            assert packet.pts is not None and packet.dts is not None  # _copied and x264 see to it
            if packet.pts * packet.time_base >= end:
                return
            self._ahead = None
            ticks = round(origin / packet.time_base)
            packet.pts -= ticks
            packet.dts -= ticks
            self._output.mux(packet)

    def close(self) -> None:
        """Close the file that the sound comes from."""
        self._packets.close()
        self._container.close()

    def _peek(self) -> Packet[AudioStream] | None:
        if self._ahead is None:
            try:
                self._ahead = next(self._packets, None)
            except av.FFmpegError as error:
                self._notes.append(f"the sound breaks off early: {error.strerror}")
        return self._ahead


def _add(
    container: InputContainer, stream: AudioStream, output: OutputContainer, *, notes: list[str]
) -> AudioPackets | None:
    """Add the like of a stream to `output`; None, and a note, where that cannot be."""
    left_out = f"the sound of '{container.name.removeprefix('file:')}' was left out"
    if stream.codec_context is None:
        notes.append(f"{left_out}: no decoder for it here")
        return None
    codec, layout = stream.codec_context.codec.canonical_name, stream.codec_context.layout
    if _is_taken(codec, stream.rate, output.format.name):
        return _copied(container, stream, output.add_stream_from_template(stream))
    channels = channels_for(layout)
    if channels is None:
        notes.append(f"{left_out}: nothing tells what its {layout.nb_channels} channels are")
        return None
    notes.append(
        f"the sound ({codec}) was made AAC: {output.format.name} does not take it as it is"
    )
    if channels.kept != channels.given:
        notes.append(f"the sound was mixed from {channels.given} down to {channels.kept} channels")
    return _encoded(container, stream, add_aac(output, stream, channels=channels))


def _is_taken(codec: str, rate_hz: int, container: str) -> bool:
    """Say whether a container takes the sound as it is."""
    is_slow_mp3 = codec == "mp3" and rate_hz < _MP3_IN_MP4_HZ
    return codec in COPIED_CODECS[container] and not (is_slow_mp3 and container == "mp4")


def _copied(container: InputContainer, stream: AudioStream, added: AudioStream) -> AudioPackets:
    """Yield the packets as they are; one whose time is missing or goes back is left out."""
    last_dts: int | None = None
    for packet in container.demux(stream):
        if packet.pts is None or packet.dts is None:
            continue
        if last_dts is not None and packet.dts <= last_dts:
            continue
        last_dts = packet.dts
        packet.stream = added
        yield packet


def _encoded(container: InputContainer, stream: AudioStream, added: AudioStream) -> AudioPackets:
    for frame in container.decode(stream):
        yield from added.encode(frame)
    yield from added.encode(None)
