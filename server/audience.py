"""All who watch one stream: its pictures encoded once, and the packets handed to everyone.

Knows no peers and no sessions. Everything here is on one event loop, but for what runs in the pool.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Protocol

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from server.aiortc_tuning.shared import SharedH264
from server.tracks import OutTrack

logger = logging.getLogger(__name__)

# Key frames are many times as large as others: whoever keeps losing packets must not make them all.
KEY_EVERY_S = 0.5
# Packets that may wait for a sender: one second of video.
MOST_WAITING = 30


class Member(Protocol):
    """One who watches: a viewer, a recorder."""

    def take(self, packet: Packet[VideoStream]) -> None:
        """Take the next packet, Annex B at 1/90000 s; the first is a key frame. Never waits.

        All members get the same object: copy what is to be changed, as a muxer does.
        """


class Audience:
    """Offers the newest picture of a stream to all its members; costs nothing while there is none.

    out: what the stream's pictures are offered to. encoded: pictures so far.
    """

    def __init__(
        self,
        pool: Executor,
        *,
        encoder: Callable[[], SharedH264],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """encoder: made anew whenever somebody comes and nobody was there."""
        self.out = OutTrack(pool, clock=clock)
        self.encoded = 0
        self._pool, self._make_encoder, self._clock = pool, encoder, clock
        self._members: list[Member] = []
        self._newcomers: list[Member] = []  # those of them that had no key frame yet
        self._pump: asyncio.Task[None] | None = None
        self._is_key_wanted = self._is_key_coming = self._has_failed = False
        self._key_timer: asyncio.TimerHandle | None = None
        self._key_at_ns: int | None = None

    @property
    def count(self) -> int:
        """Members at present."""
        return len(self._members)

    def join(self, member: Member) -> None:
        """Hand it every packet from the next key frame on, which is made at once."""
        if member in self._members or self.out.readyState != "live":
            return
        self._members.append(member)
        self._newcomers.append(member)
        self.out.repeat()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._pump_pictures(), name="audience")
            self._pump.add_done_callback(_tell_failure)

    def leave(self, member: Member) -> None:
        """Hand it nothing more; whoever is no member may leave as well."""
        self._members = [each for each in self._members if each is not member]
        self._newcomers = [each for each in self._newcomers if each is not member]
        if not self._members:
            self._settle_key()
            self.out.repeat()  # the pump sees that nobody is left

    def ask_for_key(self) -> None:
        """Have a key frame made, soon: there is at most one in half a second, for all who ask."""
        is_asked = self._is_key_wanted or self._is_key_coming or self._key_timer is not None
        if is_asked or self._newcomers or not self._members:
            return
        since_ns = None if self._key_at_ns is None else self._clock() - self._key_at_ns
        if since_ns is None or since_ns >= KEY_EVERY_S * 1e9:
            self._want_key()
        else:
            wait_s = KEY_EVERY_S - since_ns / 1e9
            self._key_timer = asyncio.get_running_loop().call_later(wait_s, self._want_key)

    async def close(self) -> None:
        """End it, and wait for what is being encoded; nobody can join any more."""
        self._members, self._newcomers = [], []
        self._settle_key()
        self.out.stop()
        if self._pump is not None:
            await asyncio.wait([self._pump])

    def _want_key(self) -> None:
        self._key_timer = None
        self._is_key_wanted = True
        self.out.repeat()

    def _settle_key(self) -> None:
        """Forget that anybody asked for a key frame."""
        self._is_key_wanted = False
        if self._key_timer is not None:
            self._key_timer.cancel()
            self._key_timer = None

    async def _pump_pictures(self) -> None:
        # The pump ends by itself, never cancelled: nothing of it is left behind in the pool.
        encoder = self._make_encoder()
        while self._members:
            try:
                picture = await self.out.recv()
            except MediaStreamError:
                return
            if self._members:
                await self._encode(encoder, picture)

    async def _encode(self, encoder: SharedH264, picture: VideoFrame) -> None:
        is_key = self._is_key_wanted or bool(self._newcomers)
        if is_key:
            self._settle_key()
            self._is_key_coming, self._key_at_ns = True, self._clock()
        job = partial(encoder.encode, picture, is_key=is_key)
        try:
            packets = await asyncio.get_running_loop().run_in_executor(self._pool, job)
        except av.FFmpegError as error:
            if not self._has_failed:
                logger.warning("a picture could not be encoded for those who watch: %s", error)
            self._has_failed = True
            return
        finally:
            self._is_key_coming = False
        self._has_failed = False
        self.encoded += 1
        for packet in packets:
            self._hand_out(packet)

    def _hand_out(self, packet: Packet[VideoStream]) -> None:
        if packet.is_keyframe:
            self._newcomers = []
        for member in list(self._members):
            if member not in self._newcomers:
                member.take(packet)


def _tell_failure(pump: asyncio.Task[None]) -> None:
    if not pump.cancelled() and (error := pump.exception()) is not None:
        logger.error("nobody who watches is shown anything any more", exc_info=error)


class PacketTrack(MediaStreamTrack):
    """One viewer's way out of an audience: aiortc's sender reads packets, and encodes nothing."""

    kind = "video"

    def __init__(self, *, ask_for_key: Callable[[], None]) -> None:
        """ask_for_key: called where packets had to be forgotten, and somebody reads them."""
        super().__init__()
        self.forgotten = 0
        self._ask_for_key = ask_for_key
        self._packets: deque[Packet[VideoStream]] = deque()
        self._has_some = asyncio.Event()
        self._is_read = self._is_broken = False

    def take(self, packet: Packet[VideoStream]) -> None:
        """Let a packet wait to be sent; too many are forgotten, and then all to a key frame."""
        if self.readyState != "live" or (self._is_broken and not packet.is_keyframe):
            return
        self._is_broken = False
        self._packets.append(packet)
        self._has_some.set()
        if len(self._packets) > MOST_WAITING:
            self._forget()

    async def recv(self) -> Packet[VideoStream]:
        """Wait for the next packet."""
        if not self._is_read:
            self._is_read = True
            if self._is_broken:  # it was long until the peer was connected
                self._ask_for_key()
        while self.readyState == "live":
            if self._packets:
                return self._packets.popleft()
            self._has_some.clear()
            await self._has_some.wait()
        raise MediaStreamError

    def stop(self) -> None:
        """End the track; whoever waits for a packet gets MediaStreamError."""
        super().stop()
        self._packets.clear()
        self._has_some.set()

    def _forget(self) -> None:
        self.forgotten += len(self._packets)
        self._packets.clear()
        self._is_broken = True
        if self._is_read:
            self._ask_for_key()
