"""From RTP packets to whole frames without waiting for the next one; knows no codec."""

from __future__ import annotations

from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket


class MarkedFrame(JitterFrame):
    """A whole frame, and those after it that the same packet made whole.

    The receiver replaces `timestamp` by one that never wraps; `rtp_timestamp` stays as sent.
    """

    def __init__(self, data: bytes, timestamp: int) -> None:
        super().__init__(data, timestamp)
        self.rtp_timestamp = timestamp
        self.followers: list[MarkedFrame] = []

    def all(self) -> list[JitterFrame]:
        """Return this frame and its followers, their timestamps on the same, unwrapped line."""
        for follower in self.followers:
            gap = (follower.rtp_timestamp - self.rtp_timestamp) & 0xFFFFFFFF
            follower.timestamp = self.timestamp + gap
        return [self, *self.followers]


class MarkerBitJitterBuffer(JitterBuffer):
    """Hands over a frame with the packet that bears the marker (RFC 3550, section 5.1).

    Upstream waits for the first packet of the next frame, which costs a whole frame interval, and
    hands over one frame at a time: after a gap it would stay late until a frame of two packets.
    """

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        lost_picture, first = super().add(packet)
        if not isinstance(first, MarkedFrame):
            return lost_picture, first
        while (follower := self._remove_frame(packet.sequence_number)) is not None:
            first.followers.append(follower)
        return lost_picture, first

    def _remove_frame(self, sequence_number: int) -> MarkedFrame | None:
        while (packets := self._first_whole()) is not None:
            self.remove(len(packets))
            # The receiver leaves the payload without its codec's header in this field.
            parts = [packet._data for packet in packets]  # type: ignore[attr-defined]
            data = b"".join(parts)
            # Packets of mere padding, with which browsers probe the line, are no frame: to the
            # decoder an empty packet is the end of the video.
            if data:
                return MarkedFrame(data, packets[0].timestamp)
        return None

    def _first_whole(self) -> list[RtpPacket] | None:
        if self._origin is None:
            return None
        packets: list[RtpPacket] = []
        for count in range(self._capacity):
            packet = self._packets[(self._origin + count) % self._capacity]
            if packet is None:
                return None
            if packets and packet.timestamp != packets[0].timestamp:
                return packets
            packets.append(packet)
            if packet.marker:
                return packets
        return None
