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
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack
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


class Peer:
    """One end of a connection to a session; `video` is its transceiver."""

    def __init__(self):
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.camera, self.video, self.channels = None, None, {}
        self.heard, self.opened, self.level, self.shown, self.seen_size = [], None, None, 0, None
        self.reader = None

    def add_channels(self):
        self.channels = {
            "control": self.pc.createDataChannel("control"),
            "live": self.pc.createDataChannel("live", ordered=False, maxRetransmits=0),
        }
        for channel in self.channels.values():
            channel.on("message", lambda text: self.heard.append(json.loads(text)))

    async def offer(self):
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return Offer(sdp=self.pc.localDescription.sdp)

    async def accept(self, opened):
        self.opened = opened
        answer = RTCSessionDescription(sdp=opened.sdp, type="answer")
        await self.pc.setRemoteDescription(answer)
        return opened

    async def watch(self):
        while True:
            try:
                frame = await self.video.receiver.track.recv()
            except MediaStreamError:
                return
            middle = frame.height // 2
            pixels = frame.to_ndarray(format="rgb24")
            self.level = int(pixels[middle - 2 : middle + 2, 30:34].mean())
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
        if self.camera is not None:
            self.camera.stop()
        await self.pc.close()
        if self.reader is not None:
            await self.reader


class Visitor(Peer):
    """A browser as far as a session sees one."""

    def __init__(self, value=120, size=(64, 64)):
        super().__init__()
        self.camera = Colour(value, size)
        self.video = self.pc.addTransceiver(self.camera, direction="sendrecv")
        self.add_channels()

    async def join(self, sessions, **wish):
        await self.accept(await sessions.open(await self.offer(), Wish(**wish)))
        self.reader = asyncio.create_task(self.watch())
        await until(lambda: all(c.readyState == "open" for c in self.channels.values()))
        return self.opened


class Publisher(Peer):
    """OBS as far as a session sees it: sound first, one video, no channels, nothing back."""

    def __init__(self, value=120, size=(64, 64)):
        super().__init__()
        self.camera, self.sound = Colour(value, size), AudioStreamTrack()
        self.audio = self.pc.addTransceiver(self.sound, direction="sendonly")
        self.video = self.pc.addTransceiver(self.camera, direction="sendonly")

    async def publish(self, sessions, name, **wish):
        return await self.accept(
            await sessions.publish(await self.offer(), Wish(name=name, **wish))
        )

    async def leave(self):
        self.sound.stop()
        await super().leave()


class Onlooker(Peer):
    """A guest: a viewer, or with channels a page that steers somebody else's stream."""

    def __init__(self, *, has_channels=False, direction="recvonly"):
        super().__init__()
        self.video = self.pc.addTransceiver("video", direction=direction)
        if has_channels:
            self.add_channels()

    async def attach(self, sessions, name, *, may_control=False):
        offer = await self.offer()
        await self.accept(await sessions.attach(name, offer, may_control=may_control))
        self.reader = asyncio.create_task(self.watch())
        if may_control:
            await until(lambda: all(c.readyState == "open" for c in self.channels.values()))
        return self.opened


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
        return self._noted(Visitor(*args, **options))

    def publisher(self, *args, **options):
        return self._noted(Publisher(*args, **options))

    def onlooker(self, **options):
        return self._noted(Onlooker(**options))

    def _noted(self, peer):
        self.visitors.append(peer)
        return peer

    @asynccontextmanager
    async def open(self, *, recordings=None, **rules):
        # Last words are heard however busy the machine is.
        plain = {"model": "tiny", "size": SIZE, "sizes": (SIZE, LARGER), "look_s": 3600}
        plain["last_words_s"] = PATIENCE_S
        self.sessions = Sessions(
            self.desk,
            SessionRules(**{**plain, **rules}),
            self.pictures,
            clock=self.clock,
            recordings=recordings,
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
