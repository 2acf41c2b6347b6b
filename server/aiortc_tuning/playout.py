"""The RTP header extension that has a browser show a picture as soon as it is decoded.

Without it Chromium holds pictures back for as long as it guesses the network's jitter to be, and
then paces them by their time stamps: one or two refreshes of the screen. What is shown here is
the newest picture, which nothing that waits makes better.
Format: webrtc.googlesource.com/src, docs/native-code/rtp-hdrext/playout-delay.
"""

from __future__ import annotations

from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import (
    HeaderExtensions,
    HeaderExtensionsMap,
    pack_header_extensions,
    unpack_header_extensions,
)

URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
# Beside those that aiortc has for audio and video; only its own offers bear this number.
EXTENSION = RTCRtpHeaderExtensionParameters(id=4, uri=URI)

# Least and most delay, 12 bits each, in units of 10 ms.
_AT_ONCE = bytes(3)


class PlayoutDelayMap(HeaderExtensionsMap):
    """Replaces aiortc's map: adds a playout delay of 0 to 0 to all packets, where it was agreed."""

    def __init__(self) -> None:
        super().__init__()
        self._id: int | None = None

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        for extension in parameters.headerExtensions:
            if extension.uri == URI:
                self._id = extension.id

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        profile, packed = super().set(values)
        if self._id is None:
            return profile, packed
        known = unpack_header_extensions(profile, packed) if packed else []
        return pack_header_extensions([*known, (self._id, _AT_ONCE)])
