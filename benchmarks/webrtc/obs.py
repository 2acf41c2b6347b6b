"""A publisher whose offer is of OBS's shape, and viewers; both speak WHIP and WHEP by plain HTTP.

What OBS 32 sends, by its source (`plugins/obs-webrtc/whip-output.cpp`): no candidates, ICE and
fingerprint for the whole session, OPUS in capitals, audio first, `sendonly`, no channels; it never
sends PATCH, and leaves with DELETE.
"""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.rtcrtpparameters import RTCRtpCodecCapability
from av.video.frame import VideoFrame

from benchmarks.webrtc.peer import Sending
from streamgen.frame import Pixels

SDP = "application/sdp"
_SESSION_WIDE = ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:")
_NOT_OBS = ("a=candidate:", "a=end-of-candidates", "a=extmap:", "a=ssrc-group:", "a=ice-options:")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; seconds: how long it took."""

    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float


async def ask(
    method: str, url: str, *, body: str = "", headers: Mapping[str, str] | None = None
) -> Answer:
    """Make one request; errors are answers, too."""
    return await asyncio.to_thread(_ask, method, url, body, headers or {})


def _ask(method: str, url: str, body: str, headers: Mapping[str, str]) -> Answer:
    request = urllib.request.Request(
        url, body.encode() if body else None, headers=dict(headers), method=method
    )
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return _told(answer.status, dict(answer.headers), answer.read(), began)
    except urllib.error.HTTPError as error:
        return _told(error.code, dict(error.headers), error.read(), began)


def _told(status: int, headers: Mapping[str, str], body: bytes, began: float) -> Answer:
    lowered = {name.lower(): value for name, value in headers.items()}
    seconds = time.monotonic() - began
    return Answer(status=status, headers=lowered, body=body.decode(), seconds=seconds)


def as_obs(sdp: str) -> str:
    """Return an offer as OBS would have written it."""
    lines = [line for line in sdp.splitlines() if not line.startswith(_NOT_OBS)]
    wide = list(dict.fromkeys(line for line in lines if line.startswith(_SESSION_WIDE)))
    lines = [line for line in lines if line not in wide]
    first = next(at for at, line in enumerate(lines) if line.startswith("m="))
    lines[first:first] = ["a=group:LS 0 1", *wide]
    return "\r\n".join(lines).replace(" opus/", " OPUS/") + "\r\n"


@dataclass(kw_only=True)
class Publisher:
    """Streams a film to `/whip/NAME`; whoever makes one ends it."""

    url: str
    film: Sequence[Pixels]
    fps: float = 15.0
    location: str = ""
    pc: RTCPeerConnection = field(default_factory=lambda: _peer())

    async def start(self) -> Answer:
        """Offer, and begin to send where that was taken."""
        self.pc.addTransceiver(AudioStreamTrack(), direction="sendonly")
        video = self.pc.addTransceiver(Sending(self.film, fps=self.fps), direction="sendonly")
        video.setCodecPreferences(_h264())
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await ask(
            "POST",
            self.url,
            body=as_obs(self.pc.localDescription.sdp),
            headers={"Content-Type": SDP},
        )
        if answer.status == 201:
            self.location = answer.headers["location"]
            await self.pc.setRemoteDescription(RTCSessionDescription(answer.body, "answer"))
        return answer

    async def stop(self, root: str) -> Answer:
        """Leave as OBS does."""
        answer = await ask("DELETE", root + self.location)
        await self.pc.close()
        return answer


@dataclass(kw_only=True)
class Viewer:
    """Sees what `/whep/NAME` shows."""

    url: str
    pictures: list[Pixels] = field(default_factory=list)
    location: str = ""
    pc: RTCPeerConnection = field(default_factory=lambda: _peer())
    seen: asyncio.Condition = field(default_factory=asyncio.Condition)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    watching: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> Answer:
        """Offer to receive, and begin to watch."""
        self.pc.addTransceiver("video", direction="recvonly").setCodecPreferences(_h264())
        self.pc.on(
            "track", lambda track: self.watching.append(asyncio.create_task(self._see(track)))
        )
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await ask(
            "POST", self.url, body=self.pc.localDescription.sdp, headers={"Content-Type": SDP}
        )
        if answer.status == 201:
            self.location = answer.headers["location"]
            await self.pc.setRemoteDescription(RTCSessionDescription(answer.body, "answer"))
        return answer

    async def until(self, count: int) -> None:
        """Wait until so many more pictures came."""
        async with asyncio.timeout(60), self.seen:
            wanted = len(self.pictures) + count
            await self.seen.wait_for(lambda: len(self.pictures) >= wanted)

    async def stop(self) -> None:
        """Stop watching; the server is not told."""
        await self.pc.close()
        for task in self.watching:
            task.cancel()
        await asyncio.gather(*self.watching, return_exceptions=True)

    def _watch(self, track: MediaStreamTrack) -> None:
        self.watching.append(asyncio.create_task(self._see(track), name="see"))

    async def _see(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                picture = await track.recv()
                assert isinstance(picture, VideoFrame), "it is a video's"
                async with self.seen:
                    self.pictures.append(np.asarray(picture.to_ndarray(format="rgb24")))
                    self.seen.notify_all()
        finally:
            self.is_over.set()


def _peer() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


def _h264() -> list[RTCRtpCodecCapability]:
    found = RTCRtpSender.getCapabilities("video")
    assert found is not None, "aiortc knows video"
    return [each for each in found.codecs if each.mimeType == "video/H264"]
