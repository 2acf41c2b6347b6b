"""What a peer lost, told to whoever encodes for it; knows no encoder.

aiortc forces a key frame where it encodes itself, and where it is given packets tells nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from aiortc import RTCRtpSender


def on_losses(sender: RTCRtpSender, tell: Callable[[], None]) -> None:
    """Call `tell` on the event loop whenever the peer asks this sender for a key frame.

    It asks by PLI or FIR (RFC 4585, section 6.3.1; RFC 5104, section 4.3.1).
    """
    ask_upstream = sender._send_keyframe

    def ask() -> None:
        ask_upstream()
        tell()

    sender._send_keyframe = ask  # type: ignore[method-assign]  # of this one sender; see contract
