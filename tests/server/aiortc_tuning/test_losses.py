from __future__ import annotations

import asyncio

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
)

from server.aiortc_tuning.losses import on_losses


def test_only_wishes_for_a_key_frame_are_told_and_only_those_of_this_sender() -> None:
    async def test() -> None:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        watched, other = (peer.addTransceiver("video").sender for _ in range(2))
        told: list[str] = []
        on_losses(watched, lambda: told.append("lost"))
        counts = []
        for kind in (RTCP_PSFB_PLI, RTCP_PSFB_FIR, RTCP_PSFB_APP):
            await hear(watched, RtcpPsfbPacket(fmt=kind, ssrc=1, media_ssrc=2))
            counts.append(len(told))
        await hear(watched, RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=2))
        await hear(other, RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=2))
        await peer.close()
        assert counts == [1, 2, 2]
        assert len(told) == 2

    asyncio.run(test())


def test_aiortc_is_still_told_too() -> None:
    async def test() -> None:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        sender = peer.addTransceiver("video").sender
        on_losses(sender, lambda: None)
        await hear(sender, RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=2))
        forced = vars(sender)["_RTCRtpSender__force_keyframe"]
        await peer.close()
        assert forced is True

    asyncio.run(test())


async def hear(sender: RTCRtpSender, packet: RtcpPsfbPacket | RtcpRtpfbPacket) -> None:
    await sender._handle_rtcp_packet(packet)
