"""Sessions over a real child process, visited by real aiortc peers on the same loop."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from fractions import Fraction

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame

from server.aiortc_tuning import Tuning, install, uninstall
from server.desk import Desk
from server.nouns import Offer, Wish
from server.rules import SessionRules
from server.sessions import Sessions
from streamgen.child import ChildOptions
from streamgen.sources.geometry import Size

SIZE, LARGER = Size(width=64, height=64), Size(width=96, height=64)
PATIENCE_S = 60
FRAME_S = 0.04


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Colour(MediaStreamTrack):
    """A camera that sees one colour."""

    kind = "video"

    def __init__(self, value, size=(64, 64)):
        super().__init__()
        self.value, self.size, self.is_silent = value, size, False
        self.count = 0

    async def recv(self):
        await asyncio.sleep(FRAME_S)
        while self.is_silent and self.readyState == "live":
            await asyncio.sleep(FRAME_S)
        if self.readyState != "live":
            raise MediaStreamError
        width, height = self.size
        pixels = np.full((height, width, 3), self.value, np.uint8)
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        self.count += 1
        frame.pts, frame.time_base = self.count * 3600, Fraction(1, 90_000)
        return frame


class Visitor:
    """A browser as far as a session sees one."""

    def __init__(self, value=120, size=(64, 64)):
        self.camera = Colour(value, size)
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.video = self.pc.addTransceiver(self.camera, direction="sendrecv")
        self.channels = {
            "control": self.pc.createDataChannel("control"),
            "live": self.pc.createDataChannel("live", ordered=False, maxRetransmits=0),
        }
        self.heard, self.opened, self.level, self.shown, self.seen_size = [], None, None, 0, None
        self.reader = None
        for channel in self.channels.values():
            channel.on("message", lambda text: self.heard.append(json.loads(text)))

    async def offer(self):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return Offer(sdp=self.pc.localDescription.sdp)

    async def join(self, sessions, **wish):
        self.opened = await sessions.open(await self.offer(), Wish(**wish))
        answer = RTCSessionDescription(sdp=self.opened.sdp, type="answer")
        await self.pc.setRemoteDescription(answer)
        self.reader = asyncio.create_task(self._watch())
        await until(lambda: self.channels["control"].readyState == "open")
        return self.opened

    async def _watch(self):
        while True:
            try:
                frame = await self.video.receiver.track.recv()
            except MediaStreamError:
                return
            self.level = int(frame.to_ndarray(format="rgb24")[30:34, 30:34].mean())
            self.seen_size = (frame.width, frame.height)
            self.shown += 1

    def say(self, message, label="control"):
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        self.channels[label].send(text)

    def told(self, kind, **fields):
        """Return the messages of a kind that have these fields."""
        return [
            each
            for each in self.heard
            if each["type"] == kind and all(each[key] == value for key, value in fields.items())
        ]

    async def hears(self, kind, **fields):
        await until(lambda: self.told(kind, **fields))
        return self.told(kind, **fields)[-1]

    async def sees(self, value, within=6):
        await until(lambda: self.level is not None and abs(self.level - value) <= within)

    async def leave(self):
        self.camera.stop()
        await self.pc.close()
        if self.reader is not None:
            await self.reader


async def until(is_so):
    """Wait for something that real peers, processes or threads do."""
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def runner():
    install(Tuning())
    with asyncio.Runner() as runner:
        pool = ThreadPoolExecutor(2, "encode")
        runner.get_loop().set_default_executor(pool)
        yield runner
    uninstall()


@pytest.fixture(scope="session")
def desk(runner):
    options = ChildOptions(
        threads=1,
        max_streams=8,
        min_fps=0,
        make_worker="streamgen.passthrough:make_passthrough_worker",
    )
    with ThreadPoolExecutor(4, "desk") as pool:
        desk = Desk(options, pool, silent_s=30)
        runner.run(desk.start())
        yield desk
        runner.run(desk.end())


@pytest.fixture
def clock():
    return Clock()


class House:
    """Sessions and their visitors, all of whom go at the end."""

    def __init__(self, desk, clock, pictures):
        self.desk, self.clock, self.pictures = desk, clock, pictures
        self.sessions = None
        self.visitors = []

    def visitor(self, *args, **options):
        self.visitors.append(Visitor(*args, **options))
        return self.visitors[-1]

    @asynccontextmanager
    async def open(self, **rules):
        plain = {"model": "tiny", "size": SIZE, "sizes": (SIZE, LARGER), "look_s": 3600}
        self.sessions = Sessions(
            self.desk, SessionRules(**{**plain, **rules}), self.pictures, clock=self.clock
        )
        try:
            yield self.sessions
        finally:
            await self.sessions.end()
            for visitor in self.visitors:
                await visitor.leave()

    async def later(self, seconds):
        """Let time pass and look after the sessions."""
        self.clock.now += seconds
        self.sessions.look()
        await asyncio.sleep(0)

    async def looked(self, is_so):
        """Look after the sessions until something is so, without time passing for them."""
        end = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < end, "it did not happen"
            self.sessions.look()
            await asyncio.sleep(0.05)


@pytest.fixture
def house(desk, clock):
    with ThreadPoolExecutor(2, "pictures") as pictures:
        yield House(desk, clock, pictures)
