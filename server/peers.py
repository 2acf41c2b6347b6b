"""One peer connection: agreed on, its tracks and channels handed out, and closed for good.

Knows aiortc; knows no streams, no controls and no sessions.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError
from aiortc.rtcrtpparameters import RTCRtpCodecCapability
from aiortc.sdp import candidate_from_sdp

from server.aiortc_tuning import has_arrived
from server.fragments import MAX_CANDIDATES, first_mid_of, read_fragment, ufrags_of
from server.messages import CONTROL, LIVE, closed
from server.nouns import BadFragment, OfferRefused

logger = logging.getLogger(__name__)

#: Until a connection that does not close is given up.
CLOSE_S = 5.0
#: What may wait to be sent on a channel whose peer does not take it any more.
MAX_BUFFERED = 256 * 1024
_CODECS = {"vp8": "video/VP8", "h264": "video/H264"}
_H264 = re.compile(r"^a=rtpmap:\d+ H264/90000", re.MULTILINE | re.IGNORECASE)

#: Of the video, as this side sees it.
Direction = Literal["sendrecv", "recvonly", "sendonly"]
_WRONG_WAY: Mapping[Direction, str] = {
    "recvonly": "the offer sends no video: offer one that is sent",
    "sendonly": "the offer receives no video: offer one that is received",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerEvents:
    """What a peer tells, on the event loop.

    on_track: its video, and its sound where nothing is sent to it. on_message: a channel's label
    and what came. on_state: of the connection, in aiortc's words.
    """

    on_track: Callable[[MediaStreamTrack], None]
    on_message: Callable[[str, str | bytes], None]
    on_state: Callable[[str], None]


class Peer:
    """Whoever makes one closes it: a connection that is left open keeps a thread."""

    def __init__(
        self,
        events: PeerEvents,
        out: MediaStreamTrack | None,
        *,
        direction: Direction = "sendrecv",
        ice_servers: Sequence[RTCIceServer] = (),
        codec: str = "auto",
        labels: Collection[str] = (CONTROL, LIVE),
    ) -> None:
        """out: what the peer is shown; None only where the direction is recvonly.

        codec: "auto" takes what the offer likes best. labels: channels that are not closed at once.
        """
        self._events = events
        self._out, self._direction, self._codec, self._labels = out, direction, codec, labels
        self._ufrags: frozenset[str] = frozenset()
        self._first_mid = ""
        self._added = 0
        self._channels: dict[str, RTCDataChannel] = {}
        self._answering: asyncio.Task[str] | None = None
        # A list, even an empty one: without any, aiortc asks a public STUN server.
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        self._video: RTCRtpTransceiver = self._pc.addTransceiver(
            out or "video", direction=direction
        )
        if codec != "auto":
            self._video.setCodecPreferences(_only(_CODECS[codec]))
        self._pc.on("track", self._take_track)
        self._pc.on("datachannel", self._take_channel)
        self._pc.on("connectionstatechange", self._tell_state)

    @property
    def state(self) -> str:
        """Of the connection, in aiortc's words."""
        return str(self._pc.connectionState)

    @property
    def sender(self) -> RTCRtpSender:
        """Of its video."""
        return self._video.sender

    async def answer(self, sdp: str) -> str:
        """Answer an offer, candidates and all; OfferRefused for one that has no answer."""
        if self._direction == "sendonly" and self._codec == "h264" and not _H264.search(sdp):
            raise OfferRefused("the offer has no H.264: this video comes in no other codec")
        # Cut short, it would leave sockets behind that nobody knows: `close` waits for its end.
        self._answering = asyncio.create_task(self._answer(sdp), name="answer")
        return await asyncio.shield(self._answering)

    async def add_candidates(self, text: str) -> None:
        """Try these addresses of the peer's, too; BadFragment for what cannot be added."""
        fragment = read_fragment(text)
        if not fragment.ufrags <= self._ufrags:
            raise BadFragment("candidates of another connection: offer a new one")
        self._added += len(fragment.candidates)
        if self._added > MAX_CANDIDATES:
            raise BadFragment(f"{self._added} candidates: {MAX_CANDIDATES} are allowed")
        try:
            for mid, said in fragment.candidates:
                candidate = candidate_from_sdp(said)
                candidate.sdpMid = mid or self._first_mid
                await self._pc.addIceCandidate(candidate)
            if fragment.is_end:
                await self._pc.addIceCandidate(None)
        # As with offers: aiortc meets what a stranger sends with whatever comes to hand.
        except Exception as error:
            raise BadFragment("candidates: one of them cannot be read") from error

    async def _answer(self, sdp: str) -> str:
        self._ufrags, self._first_mid = ufrags_of(sdp), first_mid_of(sdp)
        offer = RTCSessionDescription(sdp=sdp, type="offer")
        try:
            await self._pc.setRemoteDescription(offer)
            if self._video.mid is None:
                raise OfferRefused("the offer has no video: offer one that sends and receives")
            self._turn_down()
            await self._pc.setLocalDescription(await self._pc.createAnswer())
            if self._direction in _WRONG_WAY and self._video.currentDirection != self._direction:
                raise OfferRefused(_WRONG_WAY[self._direction])
        except OfferRefused:
            raise
        # Whatever text a stranger sends, aiortc's parser meets it with whatever comes to hand.
        except Exception as error:
            logger.info("an offer was refused: %s", type(error).__name__)
            raise OfferRefused(
                "the offer cannot be answered: no codec fits, or it is broken"
            ) from (error)
        return str(self._pc.localDescription.sdp)

    def _turn_down(self) -> None:
        """Leave out what is not the video: nothing is decoded that nobody reads.

        A publisher's sound is taken all the same, and dropped: OBS always offers one.
        """
        is_heard = False
        for transceiver in self._pc.getTransceivers():
            if transceiver is self._video:
                continue
            is_sound = transceiver.kind == "audio" and self._direction == "recvonly"
            transceiver.direction = "recvonly" if is_sound and not is_heard else "inactive"
            is_heard = is_heard or is_sound

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

    async def leave(self, says: str | None, *, within_s: float) -> None:
        """Close it, but say why before where there is a reason; `within_s`: for it to be heard."""
        if says is not None and self.send(CONTROL, closed(says)):
            await self._flush(within_s)
        await self.close()

    async def close(self) -> None:
        """Close it for good; the second time changes nothing."""
        self._channels.clear()
        if self._out is not None:
            self._out.stop()
        if self._answering is not None:
            await asyncio.wait([self._answering], timeout=CLOSE_S)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._pc.close()
                # aiortc may have started some that it had stopped, where it was just connecting.
                for transceiver in self._pc.getTransceivers():
                    await transceiver.stop()
        except TimeoutError:
            logger.warning("a peer connection did not close in %g s", CLOSE_S)

    async def _flush(self, seconds: float) -> None:
        """Wait until what was said has arrived, but no longer than that."""
        channel = self._channels.get(CONTROL)
        try:
            async with asyncio.timeout(seconds):
                while channel and channel.readyState == "open" and not has_arrived(self._pc):
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pass

    def _take_track(self, track: MediaStreamTrack) -> None:
        is_sound = track.kind == "audio" and self._direction == "recvonly"
        if track is self._video.receiver.track or is_sound:
            self._events.on_track(track)

    def _take_channel(self, channel: RTCDataChannel) -> None:
        label = str(channel.label)
        if label not in self._labels or label in self._channels:
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
