"""A VP8 encoder with bounds of its own and the clock of RTP; rebuilt only in rare steps."""

from __future__ import annotations

import time
from fractions import Fraction

import av
from aiortc.codecs.vpx import Vp8Encoder
from av.frame import Frame
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from server.aiortc_tuning.encoding import (
    RTP_TIME_BASE,
    Clock,
    report_encoding,
    thread_count,
)
from server.aiortc_tuning.steady import SteadyTarget, steady_bitrate
from server.aiortc_tuning.tuning import Tuning


class TunedVp8Encoder(SteadyTarget, Vp8Encoder):
    """Replaces aiortc's, whose clock of 1/30 s sends twice the bits at 60 fps.

    libvpx behind PyAV cannot change its rate in flight, so a step of the bit rate is a new encoder
    and a key frame; `SteadyBitrate` keeps the steps few.
    """

    def __init__(self, tuning: Tuning, *, clock: Clock = time.perf_counter) -> None:
        super().__init__()
        self.builds = 0
        self._tuning = tuning
        self._clock = clock
        self._steady = steady_bitrate(tuning)

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        start_s = self._clock()
        if isinstance(frame, VideoFrame):
            self._prepare(frame)
        encoded = super().encode(frame, force_keyframe)
        report_encoding(frame, self._clock() - start_s)
        return encoded

    def _prepare(self, frame: VideoFrame) -> None:
        """Have a codec ready that upstream finds right, and so leaves alone."""
        frame.pict_type = PictureType.NONE  # upstream never takes a forced key frame back
        rate = self._steady.rate
        wanted = (frame.width, frame.height, rate)
        codec = self.codec
        if codec is None or (codec.width, codec.height, codec.bit_rate) != wanted:
            self.codec = self._build(frame.width, frame.height, rate)

    def _build(self, width: int, height: int, rate: int) -> VideoCodecContext:
        codec = av.CodecContext.create("libvpx", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate = rate
        codec.framerate = Fraction(self._tuning.max_fps).limit_denominator(1000)
        codec.time_base = RTP_TIME_BASE
        codec.gop_size = 3000
        codec.qmin, codec.qmax = 2, 56
        codec.thread_count = thread_count(width, height)
        codec.options = {
            "deadline": "realtime",
            "cpu-used": "-6",
            "lag-in-frames": "0",
            "minrate": str(rate),
            "maxrate": str(rate),
            "bufsize": str(rate // 2),
            "max-intra-rate": "300",  # per cent of a picture's share, for a key frame
            "noise-sensitivity": "0",
            "overshoot-pct": "15",
            "undershoot-pct": "100",
            "partitions": "0",
            "static-thresh": "1",
        }
        self.builds += 1
        return codec
