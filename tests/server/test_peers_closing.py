"""A peer that is closed while it connects: aiortc starts what was stopped before."""

from __future__ import annotations

import asyncio

from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters

from server.peers import Peer, PeerEvents


def ignore(*_: object) -> None:
    """Take whatever is told."""


def test_a_receiver_that_is_started_while_its_peer_closes_is_stopped_as_well() -> None:
    async def test() -> None:
        other = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        other.addTransceiver("video", direction="sendonly")
        await other.setLocalDescription(await other.createOffer())
        events = PeerEvents(on_track=ignore, on_message=ignore, on_state=ignore)
        peer = Peer(events, None, direction="recvonly")
        await peer.answer(other.localDescription.sdp)
        [transceiver] = peer._pc.getTransceivers()
        receiver, started = transceiver.receiver, []

        ice = receiver.transport.transport

        def start() -> None:
            if ice.state == "closed":
                started.append(asyncio.create_task(receiver.receive(RTCRtpReceiveParameters())))

        ice.on("statechange", start)
        await peer.close()
        await other.close()
        assert [each.done() for each in started] == [True]
        left = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
        assert "RTCRtpReceiver._run_rtcp" not in left

    asyncio.run(test())
