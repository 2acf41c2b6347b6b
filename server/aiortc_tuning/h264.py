"""An H.264 encoder for one peer, at the bit rate that the peer asks for."""

from __future__ import annotations

import time
from collections.abc import Iterator

from aiortc.codecs.h264 import H264Encoder
from av.frame import Frame
from av.video.frame import VideoFrame

from server.aiortc_tuning.encoding import Clock, report_encoding
from server.aiortc_tuning.steady import SteadyTarget, steady_bitrate
from server.aiortc_tuning.tuning import Tuning
from server.aiortc_tuning.x264 import PacedX264


class TunedH264Encoder(SteadyTarget, H264Encoder):
    """Replaces aiortc's, which asks x264 for preset medium and takes any video for 30 fps."""

    def __init__(self, tuning: Tuning, *, clock: Clock = time.perf_counter) -> None:
        super().__init__()
        self._clock = clock
        self._x264 = PacedX264(tuning, highest=tuning.bitrate_max)
        self._steady = steady_bitrate(tuning)

    @property
    def builds(self) -> int:
        """How often x264 was opened."""
        return self._x264.builds

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        start_s = self._clock()
        encoded = super().encode(frame, force_keyframe)
        report_encoding(frame, self._clock() - start_s)
        return encoded

    def _encode_frame(self, frame: VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        packets = self._x264.encode(frame, rate=self._steady.rate, is_key=force_keyframe)
        yield from self._split_bitstream(b"".join(bytes(packet) for packet in packets))
