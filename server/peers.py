"""One peer connection: agreed on, its tracks and channels handed out, and closed for good.

Knows aiortc; knows no streams, no controls and no sessions.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError
from aiortc.rtcrtpparameters import RTCRtpCodecCapability

from server.messages import CONTROL, LIVE
from server.nouns import OfferRefused

logger = logging.getLogger(__name__)

#: Until a connection that does not close is given up.
CLOSE_S = 5.0
#: What may wait to be sent on a channel whose peer does not take it any more.
MAX_BUFFERED = 256 * 1024
_CODECS = {"vp8": "video/VP8", "h264": "video/H264"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEvents:
    """What a peer tells, on the event loop.

    on_track: its video. on_message: a channel's label and what came. on_state: of the connection,
    in aiortc's words.
    """

    on_track: Callable[[MediaStreamTrack], None]
    on_message: Callable[[str, str | bytes], None]
    on_state: Callable[[str], None]


class Peer:
    """Whoever makes one closes it: a connection that is left open keeps a thread."""

    def __init__(
        self,
        events: PeerEvents,
        out: MediaStreamTrack,
        *,
        ice_servers: Sequence[RTCIceServer] = (),
        codec: str = "auto",
    ) -> None:
        """out: what the peer is shown. codec: "auto" takes what the offer likes best."""
        self._events = events
        self._out = out
        self._channels: dict[str, RTCDataChannel] = {}
        self._answering: asyncio.Task[str] | None = None
        # A list, even an empty one: without any, aiortc asks a public STUN server.
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        self._video: RTCRtpTransceiver = self._pc.addTransceiver(out, direction="sendrecv")
        if codec != "auto":
            self._video.setCodecPreferences(_only(_CODECS[codec]))
        self._pc.on("track", self._take_track)
        self._pc.on("datachannel", self._take_channel)
        self._pc.on("connectionstatechange", self._tell_state)

    @property
    def state(self) -> str:
        """Of the connection, in aiortc's words."""
        return str(self._pc.connectionState)

    async def answer(self, sdp: str) -> str:
        """Answer an offer, candidates and all; OfferRefused for one that has no answer."""
        # Cut short, it would leave sockets behind that nobody knows: `close` waits for its end.
        self._answering = asyncio.create_task(self._answer(sdp), name="answer")
        return await asyncio.shield(self._answering)

    async def _answer(self, sdp: str) -> str:
        offer = RTCSessionDescription(sdp=sdp, type="offer")
        try:
            await self._pc.setRemoteDescription(offer)
            if self._video.mid is None:
                raise OfferRefused("the offer has no video: offer one that sends and receives")
            for transceiver in self._pc.getTransceivers():
                if transceiver is not self._video:
                    transceiver.direction = "inactive"  # nothing is decoded that nobody reads
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except OfferRefused:
            raise
        # Whatever text a stranger sends, aiortc's parser meets it with whatever comes to hand.
        except Exception as error:
            logger.info("an offer was refused: %s", type(error).__name__)
            raise OfferRefused(
                "the offer cannot be answered: no codec fits, or it is broken"
            ) from (error)
        return str(self._pc.localDescription.sdp)

    def send(self, label: str, message: Mapping[str, object]) -> bool:
        """Say something; False where the channel is not open, or its peer takes nothing."""
        channel = self._channels.get(label)
        if channel is None or channel.readyState != "open":
            return False
        if channel.bufferedAmount > MAX_BUFFERED:
            return False
        try:
            channel.send(json.dumps(message, separators=(",", ":"), allow_nan=False))
        except (InvalidStateError, ConnectionError):
            return False
        return True

    async def close(self) -> None:
        """Close it for good; the second time changes nothing."""
        self._channels.clear()
        self._out.stop()
        if self._answering is not None:
            await asyncio.wait([self._answering], timeout=CLOSE_S)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._pc.close()
        except TimeoutError:
            logger.warning("a peer connection did not close in %g s", CLOSE_S)

    async def flush(self, seconds: float) -> None:
        """Wait until what was said on `control` is on its way, but no longer than that."""
        channel = self._channels.get(CONTROL)
        try:
            async with asyncio.timeout(seconds):
                while channel and channel.readyState == "open" and channel.bufferedAmount:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pass

    def _take_track(self, track: MediaStreamTrack) -> None:
        if track is self._video.receiver.track:
            self._events.on_track(track)

    def _take_channel(self, channel: RTCDataChannel) -> None:
        label = str(channel.label)
        if label not in (CONTROL, LIVE) or label in self._channels:
            channel.close()
            return
        self._channels[label] = channel
        channel.on("message", lambda data: self._events.on_message(label, data))

    def _tell_state(self) -> None:
        self._events.on_state(self.state)


def _only(mime: str) -> list[RTCRtpCodecCapability]:
    capabilities = RTCRtpReceiver.getCapabilities("video")
    assert capabilities is not None, "aiortc knows video"
    return [each for each in capabilities.codecs if each.mimeType in (mime, "video/rtx")]
