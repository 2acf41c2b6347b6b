"""A client without a browser: an aiortc peer that sends numbered pictures and reads what returns.

    python -m benchmarks.webrtc.peer URL --seconds 30

Prints the times as JSON. Its own side of aiortc is tuned as the server's is, so that whatever
differs between two servers is theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import urllib.request
from collections.abc import Sequence
from fractions import Fraction
from typing import Any  # of what a server answers

import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av.video.frame import VideoFrame

from benchmarks.webrtc.pictures import FPS, forth_and_back, pictures
from server.aiortc_tuning import Tuning, install
from server.barcode import read, write
from streamgen.frame import Pixels
from streamgen.sources import Size, parse_size

PING_S = 2.0
#: For the last pictures to come back.
REST_S = 1.0
_TIME_BASE = Fraction(1, 90_000)


def now_ms() -> float:
    """Return the time by the clock of all marks."""
    return time.perf_counter() * 1000


class Sending(MediaStreamTrack):
    """Numbered pictures, so many a second; each is drawn when it is due."""

    kind = "video"

    def __init__(self, film: Sequence[Pixels], *, fps: float = FPS, first: int = 0) -> None:
        super().__init__()
        self.drawn: list[tuple[int, float]] = []
        self._film, self._fps = film, fps
        self._next = first
        self._begin_s = 0.0

    async def recv(self) -> VideoFrame:
        """Return the next picture when its time has come."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if not self.drawn:
            self._begin_s = loop.time()
        count = len(self.drawn)
        await asyncio.sleep(self._begin_s + count / self._fps - loop.time())
        number, self._next = self._next, self._next + 1
        pixels = forth_and_back(self._film, number).copy()
        write(pixels, number)
        self.drawn.append((number, now_ms()))
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        picture = picture.reformat(format="yuv420p")
        picture.pts, picture.time_base = round(90_000 * count / self._fps), _TIME_BASE
        return picture


class Client:
    """One connection to a server; whoever makes one closes it, or leaves it to its end."""

    def __init__(self, url: str, sending: MediaStreamTrack) -> None:
        self.shown: list[tuple[int | None, float]] = []
        self.said: list[dict[str, Any]] = []
        self.id = ""
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._url = url
        self._tasks: list[asyncio.Task[None]] = []
        self._sending = sending

    async def connect(self) -> None:
        """Open a session; closed again where that fails."""
        try:
            await self._connect()
        except BaseException:
            await self.abandon()
            raise

    async def _connect(self) -> None:
        self.pc.on("track", self._take)
        self.pc.addTransceiver(self._sending, direction="sendrecv")
        control = self.pc.createDataChannel("control")
        control.on("message", lambda text: self.said.append(json.loads(text)))
        self._tasks.append(asyncio.create_task(_ping(control), name="ping"))
        await self.pc.setLocalDescription(await self.pc.createOffer())
        offer = {"sdp": self.pc.localDescription.sdp, "type": "offer"}
        told = await asyncio.to_thread(_ask, f"{self._url}v1/sessions", "POST", offer)
        self.id = told["id"]
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp=told["sdp"], type="answer"))

    async def first(self) -> None:
        """Wait for the first picture that bears a number."""
        while not any(number is not None for number, _ in self.shown):
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Leave, and say so."""
        await asyncio.to_thread(_ask, f"{self._url}v1/sessions/{self.id}", "DELETE", None)
        await self.abandon()

    async def abandon(self) -> None:
        """Close the connection without a word to the server's HTTP."""
        for task in self._tasks:
            task.cancel()
        await self.pc.close()

    def _take(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._watch(track), name="watch"))

    async def _watch(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                picture = await track.recv()
            except MediaStreamError:
                return
            at_ms = now_ms()
            assert isinstance(picture, VideoFrame)
            # Only the brightness is looked at: no conversion takes part in what is measured.
            luma = picture.to_ndarray()[: picture.height, : picture.width]
            self.shown.append((read(np.repeat(luma[..., None], 3, axis=2)), at_ms))


async def _ping(control: RTCDataChannel) -> None:
    while True:
        if control.readyState == "open":
            control.send(json.dumps({"type": "ping", "t": now_ms()}))
        await asyncio.sleep(PING_S if control.readyState == "open" else 0.05)


def _ask(url: str, method: str, body: object) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(url, data, headers, method=method), timeout=30
    ) as answer:
        said: dict[str, Any] = json.loads(answer.read() or b"{}")
    return said


async def measure(url: str, size: Size, *, seconds: float, warmup: float) -> dict[str, object]:
    """Return when which number was drawn and seen, and from when to when it counts."""
    install(Tuning())
    sending = Sending(pictures(size))
    client = Client(url, sending)
    await client.connect()
    async with asyncio.timeout(60):
        await client.first()
    await asyncio.sleep(warmup)
    begin_ms = now_ms()
    await asyncio.sleep(seconds)
    end_ms = now_ms()
    await asyncio.sleep(REST_S)
    await client.close()
    marks = {"drawn": sending.drawn, "shown": client.shown}
    return {**marks, "begin_ms": begin_ms, "end_ms": end_ms}


def main() -> None:
    """Measure, and print what was seen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--warmup", type=float, default=2)
    parser.add_argument("--size", type=parse_size, default="256")
    args = parser.parse_args()
    seen = measure(args.url, args.size, seconds=args.seconds, warmup=args.warmup)
    print(json.dumps(asyncio.run(seen)))


if __name__ == "__main__":
    main()
