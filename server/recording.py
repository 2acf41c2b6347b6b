"""Recording of a stream: takes the packets that its viewers get, and writes them to mp4 files.

Everything that waits for a disk is done by a thread of the recording's own: a slow disk costs the
recording, never the stream. Knows no sessions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Thread

from av.packet import Packet
from av.video.stream import VideoStream

from server.nouns import SessionError
from server.recorder_files import RecordingFolder, RecordingLimits, RecordingPlace
from server.recorder_mp4 import TICKS, Piece
from server.recorder_writer import RecordingFacts, RecordingWriter

__all__ = [
    "Recorder",
    "RecordingFacts",
    "RecordingLimits",
    "RecordingOff",
    "RecordingPlace",
    "begin_recording",
]

logger = logging.getLogger(__name__)

#: What a player can jump to; the pictures themselves need far fewer key frames.
KEY_EVERY_S = 10
#: For a disk to write what waits, when a recording ends.
CLOSE_S = 5.0
_TIME_BASE = Fraction(1, TICKS)


class RecordingOff(SessionError):
    """The server was started without a folder for recordings."""


def do_nothing() -> None:
    """Do nothing."""


class Recorder:
    """Writes what one stream's viewers get; a member of its audience, used on the event loop."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        limits: RecordingLimits,
        clock: Callable[[], float] = time.time,
        ended: Callable[[], None] = do_nothing,
        ask_for_key: Callable[[], None] = do_nothing,
    ) -> None:
        """clock: seconds since 1970, for the names of files.

        ended: told once on the loop, whyever it ends. ask_for_key: of the stream, as players jump
        to key frames only.
        """
        self._limits = limits
        self._writer = RecordingWriter(
            RecordingFolder(folder, limits), name, limits=limits, clock=clock
        )
        self._ended, self._ask_for_key = ended, ask_for_key
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_done = asyncio.Event()
        self._is_over = False
        self._says = ""
        self._given = 0
        self._key_pts = 0

    @property
    def facts(self) -> RecordingFacts:
        """How it is doing."""
        facts = self._writer.facts
        if self._is_over:
            return replace(facts, state="ended", why_ended=self._says or facts.why_ended)
        return facts

    def take(self, packet: Packet[VideoStream]) -> None:
        """Take the next packet, the first a key frame; never waits."""
        if self._is_over or packet.pts is None:
            return
        pts = int(packet.pts * (packet.time_base or _TIME_BASE) * TICKS)
        if self._loop is None and not self._begin(packet):
            return
        piece = Piece(bytes(packet), pts, packet.is_keyframe)
        self._given += len(piece.data)
        if self._given - self._writer.written > self._limits.waiting_bytes:
            self._end("The recording ended: the disk is too slow for it.")
            return
        self._writer.pieces.put(piece)
        self._want_keys(piece)

    async def close(self) -> RecordingFacts:
        """End it, and wait until its file is whole, or for as long as a disk may take."""
        self._end("")
        if self._loop is not None:
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._is_done.wait()
            except TimeoutError:
                self._says = self._says or "The recording ended early: the disk does not answer."
        return self.facts

    def _begin(self, packet: Packet[VideoStream]) -> bool:
        """Start the thread that writes, at the first key frame; return whether it runs."""
        if packet.is_keyframe:
            self._loop = asyncio.get_running_loop()
            # One that hangs in a disk must not keep the server from ending.
            Thread(target=self._write, name="recording", daemon=True).start()
        return packet.is_keyframe

    def _want_keys(self, piece: Piece) -> None:
        if piece.is_key:
            self._key_pts = piece.pts
        elif piece.pts - self._key_pts > KEY_EVERY_S * TICKS:
            self._key_pts = piece.pts
            self._ask_for_key()

    def _end(self, says: str) -> None:
        """Take nothing more; what waits is still written."""
        if not self._is_over:
            self._is_over, self._says = True, says
            self._writer.pieces.put(None)
            self._ended()

    def _write(self) -> None:
        assert self._loop is not None, "the thread is started on a loop"
        try:
            self._writer.run()
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        facts = self._writer.facts
        logger.info(
            "recording of %s: %.0f s, %d bytes. %s",
            facts.name[:6], facts.seconds, facts.bytes, self._says or facts.why_ended,
        )  # fmt: skip
        self._is_done.set()
        self._end("")


def begin_recording(
    place: RecordingPlace | None,
    name: str,
    *,
    ended: Callable[[], None] = do_nothing,
    ask_for_key: Callable[[], None] = do_nothing,
) -> Recorder:
    """Return what records a stream once it joins the audience; RecordingOff without a place."""
    if place is None:
        raise RecordingOff("recording is off here: start the server with --record-dir DIR")
    return Recorder(place.folder, name, limits=place.limits, ended=ended, ask_for_key=ask_for_key)
