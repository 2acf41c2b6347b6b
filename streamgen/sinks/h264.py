"""RGB frames to H.264 packets with their time and colour; knows no files."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from streamgen.frame import Colour, Matrix, Pixels, VideoInfo
from streamgen.sinks.protocol import H264Options
from streamgen.sources.colour import SWSCALE_MATRICES

_FLAGS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tags:
    """Numbers of ITU-T H.273: of a matrix, and of what goes with it unless told."""

    primaries: int
    transfer: int
    coefficients: int


_TAGS: dict[Matrix, _Tags] = {
    "bt601": _Tags(primaries=6, transfer=6, coefficients=6),
    "bt709": _Tags(primaries=1, transfer=1, coefficients=1),
    "bt2020": _Tags(primaries=9, transfer=14, coefficients=9),
}


class H264Encoder:
    """Encodes to 4:2:0; odd sides are made even by repeating the last column or row."""

    def __init__(self, stream: VideoStream, *, colour: Colour, time_base: Fraction) -> None:
        self._stream = stream
        self._time_base = time_base
        self._matrix = SWSCALE_MATRICES[colour.matrix]
        self._range = _range(colour)
        self._reformatter = VideoReformatter()

    def encode(self, pixels: Pixels, *, pts: int) -> list[Packet[VideoStream]]:
        """Take RGB pixels [H, W, 3]; return the packets that are ready, often none."""
        picture = VideoFrame.from_numpy_buffer(_even(pixels), format="rgb24")
        frame = self._reformatter.reformat(
            picture,
            format="yuv420p",
            interpolation=_FLAGS,
            threads=1,
            dst_colorspace=self._matrix,
            dst_color_range=self._range,
        )
        frame.pts, frame.time_base = pts, self._time_base
        return self._stream.encode(frame)

    def flush(self) -> list[Packet[VideoStream]]:
        """Return the packets that x264 still holds."""
        return self._stream.encode(None)


def add_h264(output: OutputContainer, info: VideoInfo, *, encoding: H264Options) -> H264Encoder:
    """Add a stream of this size, time base and colour to a container."""
    stream = output.add_stream("libx264", rate=info.rate)
    colour, tags = info.colour, _TAGS[info.colour.matrix]
    context = stream.codec_context
    context.width, context.height = info.width + info.width % 2, info.height + info.height % 2
    context.pix_fmt = "yuv420p"
    context.time_base = stream.time_base = info.time_base
    context.color_range = _range(colour)
    context.color_primaries = colour.primaries or tags.primaries
    context.color_trc = colour.transfer or tags.transfer
    context.colorspace = tags.coefficients
    # With B-frames the time stamps of decoding are x264's guess, and the average rate that
    # players compute from them is off where frames are uneven.
    context.options = {"crf": str(encoding.crf), "preset": encoding.preset, "bf": "0"}
    return H264Encoder(stream, colour=colour, time_base=info.time_base)


def _range(colour: Colour) -> ColorRange:
    return ColorRange.JPEG if colour.full_range else ColorRange.MPEG


def _even(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(pixels)
