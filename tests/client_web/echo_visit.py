"""One session of the echo server, which answers, and what it pretends; knows no HTTP."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame

from streamgen.control_schema import controls_from, schema
from streamgen.errors import ConfigError

DEFAULTS = {"prompts": "watercolor"}
SIZES = [{"width": side, "height": side} for side in (192, 256, 384, 512)]
#: Red, green and blue of a picture, by the length of its prompt: a change must be seen.
TINTS = ((1.0, 0.72, 0.5), (0.5, 0.85, 1.0), (0.95, 0.55, 0.9), (0.6, 1.0, 0.65))


class House(Protocol):
    """Where a session lives."""

    forced: Forced
    visits: dict[str, Visit]
    remembered: dict[str, Any]
    heard: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Forced:
    """What the server pretends.

    seats: how many there are. hold: frames are kept back. taken: names of others. running: streams
    that can be watched. rights: of who watches. keeps: whether it records. loras: on offer.
    motion: name of its motion adapter.
    """

    seats: int = 4
    state: str = "running"
    says: str = ""
    frame_ms: float = 38.0
    hold: bool = False
    dropped: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    refuses: str = ""
    upcoming: dict[str, Any] | None = None
    taken: tuple[str, ...] = ()
    running: tuple[str, ...] = ("studio",)
    rights: str = "control"
    keeps: bool = True
    loras: tuple[dict[str, str], ...] = ()
    has_picture: bool = True
    motion: str | None = None

    @property
    def defaults(self) -> dict[str, Any]:
        return DEFAULTS | ({"motion_strength": 1.0} if self.motion else {})


def specs_of(forced: Forced) -> list[dict[str, Any]]:
    """Describe every control that there is; without a motion adapter not its strength."""
    specs = [asdict(spec) for spec in schema(forced.defaults)]
    for spec in specs:
        default = spec["default"]
        if isinstance(default, tuple):
            spec["default"] = [part.model_dump() for part in default]
    return [spec for spec in specs if forced.motion or spec["name"] != "motion_strength"]


class Redrawn(MediaStreamTrack):
    """Answers each frame with a coloured drawing of it, cut square; keeps only the newest."""

    kind = "video"

    def __init__(self, visit: Visit) -> None:
        super().__init__()
        self._visit = visit
        self._newest: asyncio.Queue[VideoFrame] = asyncio.Queue(1)

    async def drain(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if self._newest.full():
                self._newest.get_nowait()
            self._newest.put_nowait(frame)

    async def recv(self) -> VideoFrame:
        frame = await self._newest.get()
        while self._visit.server.forced.hold:
            await asyncio.sleep(0.05)
            frame = await self._newest.get()
        drawn = await asyncio.to_thread(self._visit.draw, frame)
        drawn.pts = int(time.monotonic() * 90_000)
        drawn.time_base = Fraction(1, 90_000)
        return drawn


class Visit:
    """One session: its controls, its connection, what it is told."""

    def __init__(self, server: House, wish: dict[str, Any]) -> None:
        self.server = server
        self.id = secrets.token_urlsafe(8)
        self.name: str = wish.get("name") or self.id
        self.resume = secrets.token_urlsafe(8)
        self.given: dict[str, Any] = dict(wish.get("controls") or {})
        self.size = wish.get("size") or SIZES[1]
        self.output = "live"
        self.revision = 1
        self.is_mirrored = bool(wish.get("mirror"))
        # No servers: the default would ask one of Google's.
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.control: Any = None
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def controls(self) -> dict[str, Any]:
        defaults = self.server.forced.defaults
        return controls_from(self.given, defaults=defaults).model_dump(mode="json")

    async def answer(self, sdp: str) -> str:
        drawn = Redrawn(self)
        self.pc.on("track", lambda track: self.run(drawn.drain(track)))
        self.pc.on("datachannel", self.open)
        self.pc.on("connectionstatechange", self.judge)
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        self.pc.addTrack(drawn)
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        return self.pc.localDescription.sdp

    def run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def open(self, channel: Any) -> None:
        channel.on("message", lambda text: self.hear(channel, json.loads(text)))
        if channel.label == "control":
            self.control = channel
            self.run(self.report())

    async def judge(self) -> None:
        if self.pc.connectionState in ("failed", "closed"):
            await self.close()

    async def close(self) -> None:
        if self.server.visits.pop(self.id, None) is None:
            return
        self.server.remembered[self.resume] = (self.given, self.size, self.output)
        for task in self.tasks:
            task.cancel()
        await self.pc.close()

    def hear(self, channel: Any, said: dict[str, Any]) -> None:
        self.server.heard.append({**said, "channel": channel.label})
        if said["type"] == "ping":
            self.say({"type": "pong", "t": said["t"]})
        elif said["type"] == "output":
            self.output = said["mode"]
            self.say(said)
        elif said["type"] == "size":
            self.size = {"width": said["width"], "height": said["height"]}
            self.say(said)
        elif said["type"] == "patch":
            self.patch(channel.label, said)

    def patch(self, label: str, said: dict[str, Any]) -> None:
        try:
            if self.server.forced.refuses:
                raise ConfigError(self.server.forced.refuses)
            given = {**self.given, **said["changes"]}
            controls_from(given, defaults=self.server.forced.defaults)
        except ConfigError as error:
            self.say({"type": "refused", "id": said["id"], "says": str(error)})
            return
        self.given = given
        self.revision += 1
        if label == "control":
            told = {"revision": self.revision, "stale": False, "controls": self.controls}
            self.say({"type": "patched", "id": said["id"], **told})

    def say(self, message: dict[str, Any]) -> None:
        if self.control and self.control.readyState == "open":
            self.control.send(json.dumps(message))

    async def report(self) -> None:
        while True:
            forced = self.server.forced
            stages = {"queue": 4.1, "model": forced.frame_ms, "encode": 5.2}
            told = {"fps": 24.0, "frame_ms": forced.frame_ms, "dropped": forced.dropped}
            told |= {"skipped": forced.skipped, "stages_ms": stages, "revision": self.revision}
            told |= {"model": "tiny", "backend": "openvino", "precision": "bf16", **self.size}
            told |= {"upcoming": forced.upcoming, "motion": forced.motion}
            told |= {"state": forced.state, "says": forced.says, "output": self.output}
            self.say({"type": "status", "streams": 1, **told})
            await asyncio.sleep(0.5)

    def draw(self, frame: VideoFrame) -> VideoFrame:
        side = self.size["width"]
        pixels = frame.to_ndarray(format="rgb24")
        short = min(pixels.shape[:2])
        top, left = (pixels.shape[0] - short) // 2, (pixels.shape[1] - short) // 2
        place = (np.arange(side) * short / side).astype(int)
        square = pixels[top : top + short, left : left + short][place][:, place]
        square = square[:, ::-1] if self.is_mirrored else square
        if self.output == "live":
            square = paint(square, self.controls["prompts"][0]["text"])
        return VideoFrame.from_ndarray(np.ascontiguousarray(square), format="rgb24")


def paint(pixels: np.ndarray, prompt: str) -> np.ndarray:
    """Lay flat colours and dark outlines over a picture."""
    light = pixels.mean(axis=2)
    flat = np.round(light / 255 * 5) / 5
    down, right = np.diff(light, axis=0, append=0), np.diff(light, axis=1, append=0)
    ink = np.clip(1.25 - (np.abs(down) + np.abs(right)) / 48, 0, 1)
    tint = np.array(TINTS[len(prompt) % len(TINTS)])
    drawn = (0.25 + 0.75 * flat[..., None]) * tint * ink[..., None]
    return (np.clip(drawn, 0, 1) * 255).astype(np.uint8)
