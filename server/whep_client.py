"""Watches a stream by WHEP (draft-ietf-wish-whep), for as long as it takes; knows no camera.

The newest picture is handed on as soon as it is decoded, and nothing is queued.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpparameters import RTCRtpCodecCapability
from av.video.frame import VideoFrame

from server.aiortc_tuning.encoding import BT601_MATRIX
from server.whep_http import Http, Refused, Reply, Unavailable
from streamgen.errors import ConfigError

logger = logging.getLogger(__name__)

#: A server repeats a still picture each second: what is silent for so long is gone.
STALL_S = 10.0
LEAVE_S = 2.0
CLOSE_S = 5.0
PAUSES_S = (1.0, 10.0)
#: As much as a server may ask for.
LONGEST_PAUSE_S = 60.0
_SDP = "application/sdp"
_UNKNOWN_MATRIX = 2
_OVER = ("failed", "lost")

Find = Callable[[], Awaitable[str]]
#: What it returns does not matter.
Take = Callable[[VideoFrame], object]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited; pause: waits for some seconds before the next attempt."""

    stall_s: float = STALL_S
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


async def watch(
    http: Http, find: Find, take: Take, *, say: Say, patience: Patience | None = None
) -> None:
    """Watch what `find` gives the address of, again and again; raise Refused where that is vain.

    take: gets each picture on the event loop and does not wait. say: told what happens, the same
    thing once.
    """
    patience, told, pause_s = patience or Patience(), "", PAUSES_S[0]
    while True:
        seen = 0

        def count(picture: VideoFrame) -> None:
            nonlocal seen, told
            seen += 1
            if seen == 1:
                told = ""
            take(picture)

        try:
            await view(http, await find(), count, say=say, stall_s=patience.stall_s)
        except Unavailable as error:
            if str(error) != told:
                told = str(error)
                say(f"{told[:1].upper()}{told[1:]}. It is tried again until it works.")
            pause_s = PAUSES_S[0] if seen else pause_s
            await patience.pause(min(max(pause_s, error.retry_s), LONGEST_PAUSE_S))
            pause_s = min(2 * pause_s, PAUSES_S[1])


async def newest_stream(http: Http, server: str) -> str:
    """Return the WHEP address of the stream that began last; Unavailable where none runs."""
    reply = await http.ask("GET", urljoin(server, "/v1/streams"))
    if reply.status != 200:
        raise reply.refused()
    try:
        rows = json.loads(reply.body)["streams"]
        names = [str(row["name"]) for row in rows if row["state"] not in _OVER]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{reply.url} gives no list of streams: is it a streamgen?") from error
    if not names:
        raise Unavailable(f"no stream runs at {urlsplit(server).netloc}")
    return whep_url(server, names[-1])


def whep_url(server: str, stream: str) -> str:
    """Return the address under which a server shows a stream."""
    return urljoin(server, f"/whep/{quote(stream, safe='')}")


async def view(http: Http, url: str, take: Take, *, say: Say, stall_s: float) -> None:
    """Hand on the pictures of one connection until it ends, which raises Unavailable."""
    # A list, even an empty one: without any, aiortc asks a public STUN server.
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    resource: str | None = None
    try:
        video = peer.addTransceiver("video", direction="recvonly")
        video.setCodecPreferences(_h264())
        await peer.setLocalDescription(await peer.createOffer())
        reply = await http.ask("POST", url, body=peer.localDescription.sdp, kind=_SDP)
        resource = _resource(reply)
        await _accept(peer, video, reply)
        await _read(peer, video.receiver.track, take, stall_s=stall_s, say=say)
    finally:
        await _leave(http, resource)
        await _close(peer)


async def _read(
    peer: RTCPeerConnection, track: MediaStreamTrack, take: Take, *, stall_s: float, say: Say
) -> None:
    seen = 0
    while True:
        try:
            async with asyncio.timeout(stall_s):
                picture = await track.recv()
        except TimeoutError as error:
            if peer.connectionState != "connected":
                says = f"no connection came about in {stall_s:g} s: UDP may be blocked on its way"
                raise Unavailable(says) from error
            raise Unavailable(f"no picture came for {stall_s:g} s") from error
        except MediaStreamError as error:
            raise Unavailable("the stream has ended") from error
        if not isinstance(picture, VideoFrame):
            continue
        if picture.colorspace == _UNKNOWN_MATRIX:
            # What WebRTC means where nothing is said (RFC 6386, section 9.2).
            picture.colorspace = BT601_MATRIX
        seen += 1
        if seen == 1:
            say(f"The stream is there, {picture.width}x{picture.height}.")
        take(picture)


async def _accept(peer: RTCPeerConnection, video: RTCRtpTransceiver, reply: Reply) -> None:
    try:
        await peer.setRemoteDescription(RTCSessionDescription(sdp=reply.body, type="answer"))
    # Whatever text a stranger sends, aiortc's parser meets it with whatever comes to hand.
    except Exception as error:
        logger.info("an answer was refused: %s", type(error).__name__)
        raise Refused(f"{reply.url} gives an answer that cannot be used") from error
    if video.currentDirection not in ("recvonly", "sendrecv"):
        raise Unavailable(f"{reply.url} sends no video")


def _resource(reply: Reply) -> str | None:
    """Return what ends the visit; raise what the reply means where it is no answer."""
    if reply.status != 201:
        if 200 <= reply.status < 300:
            says = f"{reply.url} answers {reply.status} instead of 201: is it the WHEP address?"
            raise Refused(says)
        raise reply.refused()
    found = urljoin(reply.url, reply.headers.get("location", ""))
    # The token is for this server alone.
    is_its_own = urlsplit(found)[:2] == urlsplit(reply.url)[:2]
    return found if is_its_own and "location" in reply.headers else None


async def _leave(http: Http, resource: str | None) -> None:
    if resource is None:
        return
    try:
        async with asyncio.timeout(LEAVE_S):
            await http.ask("DELETE", resource)
    except (TimeoutError, Unavailable, Refused, ConfigError) as error:
        logger.debug("the server was not told of the end: %s", error)


async def _close(peer: RTCPeerConnection) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await peer.close()
    except TimeoutError:
        logger.warning("a peer connection did not close in %g s", CLOSE_S)


def _h264() -> list[RTCRtpCodecCapability]:
    capabilities = RTCRtpReceiver.getCapabilities("video")
    assert capabilities is not None, "aiortc knows video"
    return [each for each in capabilities.codecs if each.mimeType in ("video/H264", "video/rtx")]
