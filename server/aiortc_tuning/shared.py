"""The H.264 encoder of one stream for all who watch it; knows nobody who watches."""

from __future__ import annotations

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from server.aiortc_tuning.tuning import Tuning
from server.aiortc_tuning.x264 import PacedX264
from streamgen.errors import ConfigError

_LOWEST_BITRATE = 50_000


class SharedH264:
    """Used by one thread at a time; every packet is a whole picture, for any number of readers."""

    def __init__(self, tuning: Tuning, *, bitrate: int) -> None:
        """bitrate: bits per second, the same for all who watch, whatever any of them asks for."""
        if bitrate < _LOWEST_BITRATE:
            raise ConfigError(f"bitrate {bitrate}: choose {_LOWEST_BITRATE} bits a second or more")
        self.encoded = 0
        self._bitrate = bitrate
        self._x264 = PacedX264(tuning, highest=max(bitrate, tuning.bitrate_max))

    @property
    def builds(self) -> int:
        """How often x264 was opened: once for each size of the pictures."""
        return self._x264.builds

    def encode(self, picture: VideoFrame, *, is_key: bool) -> list[Packet[VideoStream]]:
        """Encode a yuv420p picture to Annex B, its packets on the clock of RTP, 1/90000 s.

        picture: its pts later than that of the one before. Before every key frame are its
        parameter sets. Raises av.FFmpegError; the next picture then is a key frame.
        """
        try:
            packets = self._x264.encode(picture, rate=self._bitrate, is_key=is_key)
        except av.FFmpegError:
            self._x264.forget()
            raise
        self.encoded += 1
        return packets
