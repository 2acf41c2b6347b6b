"""An H.264 encoder for pictures that somebody waits for: fast, even, of a rate that may change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import av
from aiortc.codecs.h264 import H264Encoder
from av.frame import Frame
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from server.aiortc_tuning.bitrate import Pace
from server.aiortc_tuning.encoding import (
    RTP_TIME_BASE,
    Clock,
    report_encoding,
    tag,
    thread_count,
)
from server.aiortc_tuning.steady import SteadyTarget, steady_bitrate
from server.aiortc_tuning.tuning import Tuning

# x264 is opened for this many times the highest bit rate: from there its rate can be changed
# without a new encoder, and a picture every 1/15 s may have twice the bits of one every 1/30 s.
_HEADROOM = 2
_LEVEL_31_PIXELS = 1280 * 720


class TunedH264Encoder(SteadyTarget, H264Encoder):
    """Replaces aiortc's, which asks x264 for preset medium and takes any video for 30 fps."""

    def __init__(self, tuning: Tuning, *, clock: Clock = time.perf_counter) -> None:
        super().__init__()
        self.builds = 0
        self._tuning = tuning
        self._clock = clock
        self._pace = Pace(tuning.max_fps)
        self._steady = steady_bitrate(tuning)

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        start_s = self._clock()
        encoded = super().encode(frame, force_keyframe)
        report_encoding(frame, self._clock() - start_s)
        return encoded

    def _encode_frame(self, frame: VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        if frame.time is not None:
            self._pace.see(frame.time)
        codec = self.codec
        if codec is None or (codec.width, codec.height) != (frame.width, frame.height):
            codec = self.codec = self._build(frame.width, frame.height)
        self._set_rate(codec)
        frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        data = b"".join(bytes(packet) for packet in codec.encode(frame))
        yield from self._split_bitstream(data)

    def _set_rate(self, codec: VideoCodecContext) -> None:
        """Give each picture its share of a second.

        x264 spreads its rate over max_fps pictures a second, however many come. Its own mode for
        a varying rate holds every picture back until the next one is there.
        """
        tuning = self._tuning
        asked = self._steady.rate * tuning.max_fps / self._pace.fps
        rate = round(min(asked, _HEADROOM * tuning.bitrate_max))
        if not codec.bit_rate or abs(rate - codec.bit_rate) > 0.05 * codec.bit_rate:
            codec.bit_rate = rate

    def _build(self, width: int, height: int) -> VideoCodecContext:
        tuning = self._tuning
        ceiling = _HEADROOM * tuning.bitrate_max
        codec = av.CodecContext.create("libx264", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate = ceiling
        codec.framerate = Fraction(tuning.max_fps).limit_denominator(1000)
        codec.time_base = RTP_TIME_BASE
        codec.gop_size = 3000  # a peer that lost something asks for a key frame
        codec.thread_count = thread_count(width, height)
        codec.options = {
            "preset": tuning.x264_preset,
            "tune": "zerolatency",
            "maxrate": str(ceiling),
            # Two pictures at the highest bit rate: no picture, not even a key frame, takes longer.
            "bufsize": str(round(ceiling / tuning.max_fps)),
            "sc_threshold": "0",
        }
        if width * height <= _LEVEL_31_PIXELS:
            codec.options = {**codec.options, "level": "31"}
        codec.profile = "Baseline"
        tag(codec)
        codec.open()
        self.builds += 1
        return codec
