"""x264 for pictures that somebody waits for: fast, even, of any rate; knows no RTP."""

from __future__ import annotations

from fractions import Fraction

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from server.aiortc_tuning.bitrate import Pace
from server.aiortc_tuning.encoding import RTP_TIME_BASE, tag, thread_count
from server.aiortc_tuning.tuning import Tuning

# x264 is opened for this many times the highest bit rate: from there its rate can be changed
# without a new encoder, and a picture every 1/15 s may have twice the bits of one every 1/30 s.
_HEADROOM = 2
_LEVEL_31_PIXELS = 1280 * 720


class PacedX264:
    """Encodes pictures to Annex B, one by one, the parameter sets before every key frame.

    A picture of another size gets a new encoder, which begins with a key frame.
    """

    def __init__(self, tuning: Tuning, *, highest: int) -> None:
        """highest: bits per second that are ever asked for."""
        self.builds = 0
        self._tuning = tuning
        self._ceiling = _HEADROOM * highest
        self._pace = Pace(tuning.max_fps)
        self._codec: VideoCodecContext | None = None

    def encode(self, picture: VideoFrame, *, rate: int, is_key: bool) -> list[Packet[VideoStream]]:
        """Return the packets of a yuv420p picture, all of them; rate: in bits per second."""
        if picture.time is not None:
            self._pace.see(picture.time)
        codec = self._codec
        if codec is None or (codec.width, codec.height) != (picture.width, picture.height):
            codec = self._codec = self._build(picture.width, picture.height)
        self._set_rate(codec, rate)
        picture.pict_type = PictureType.I if is_key else PictureType.NONE
        return codec.encode(picture)

    def forget(self) -> None:
        """Begin anew, with a key frame, at the next picture."""
        self._codec = None

    def _set_rate(self, codec: VideoCodecContext, rate: int) -> None:
        """Give each picture its share of a second.

        x264 spreads its rate over max_fps pictures a second, however many come. Its own mode for
        a varying rate holds every picture back until the next one is there.
        """
        asked = round(min(rate * self._tuning.max_fps / self._pace.fps, self._ceiling))
        if not codec.bit_rate or abs(asked - codec.bit_rate) > 0.05 * codec.bit_rate:
            codec.bit_rate = asked

    def _build(self, width: int, height: int) -> VideoCodecContext:
        tuning = self._tuning
        codec = av.CodecContext.create("libx264", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate = self._ceiling
        codec.framerate = Fraction(tuning.max_fps).limit_denominator(1000)
        codec.time_base = RTP_TIME_BASE
        codec.gop_size = 3000  # a peer that lost something asks for a key frame
        codec.thread_count = thread_count(width, height)
        codec.options = {
            "preset": tuning.x264_preset,
            "tune": "zerolatency",
            "maxrate": str(self._ceiling),
            # Two pictures at the highest bit rate: no picture, not even a key frame, takes longer.
            "bufsize": str(round(self._ceiling / tuning.max_fps)),
            "sc_threshold": "0",
        }
        if width * height <= _LEVEL_31_PIXELS:
            codec.options = {**codec.options, "level": "31"}
        codec.profile = "Baseline"
        tag(codec)
        codec.open()
        self.builds += 1
        return codec
