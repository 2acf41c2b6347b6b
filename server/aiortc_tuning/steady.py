"""The bit rate of an encoder of aiortc, held steady; what both tuned encoders have in common."""

from __future__ import annotations

from server.aiortc_tuning.bitrate import SteadyBitrate
from server.aiortc_tuning.encoding import Clock
from server.aiortc_tuning.tuning import Tuning


def steady_bitrate(tuning: Tuning) -> SteadyBitrate:
    """Return what damps the wishes of a peer, within the bounds of the tuning."""
    return SteadyBitrate(
        default=tuning.bitrate_default, minimum=tuning.bitrate_min, maximum=tuning.bitrate_max
    )


class SteadyTarget:
    """Comes before aiortc's encoder among the bases, which brings the two attributes."""

    _steady: SteadyBitrate
    _clock: Clock

    @property
    def target_bitrate(self) -> int:
        """Bits per second that are sent."""
        return self._steady.rate

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._steady.follow(bitrate, self._clock())
