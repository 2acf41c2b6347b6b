"""One connection of a session's peer: its video in and out, and what it says.

Knows no other session, and of controls only that somebody deals with them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from aiortc import MediaStreamTrack

from server.agreement import agree
from server.errors import TooLarge
from server.mailbox import Letter
from server.messages import CONTROL, LIVE
from server.nouns import Offer, Output
from server.peers import Peer, PeerEvents
from server.pictures import Inlet
from server.rules import SessionRules
from server.talk import Talk, TalkEvents
from server.tracks import OutTrack, Timing, drain
from streamgen.frame import Frame
from streamgen.sources.geometry import Size

logger = logging.getLogger(__name__)

#: For a publisher's first key frame, until its place may be taken by another one.
FIRST_KEY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitEvents:
    """What a visit asks of its session, on the event loop but for `put`.

    put: gets frames, in a thread. deal: with a message, one after the other. output: what is to be
    shown. timing: of a shown picture. lost: the connection is gone. over: the visitor goes, or
    must, and why. closed: everything of it is gone.
    """

    put: Callable[[Frame], None]
    deal: Callable[[Letter], Awaitable[None]]
    output: Callable[[Output], None]
    timing: Callable[[Timing], None]
    lost: Callable[[], None]
    over: Callable[[str], None]
    closed: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a visitor comes.

    mirror: its picture is flipped left to right. is_silent: a publisher, as of WHIP: it sends
    pictures, is shown none, and says nothing.
    """

    mirror: bool = False
    is_silent: bool = False


class Visit:
    """Whoever makes one closes it."""

    def __init__(
        self,
        events: VisitEvents,
        rules: SessionRules,
        pictures: Executor,
        *,
        size: Size,
        manner: Manner,
        clock: Callable[[], float],
    ) -> None:
        self.seen_s = self._born_s = self._alive_s = clock()
        self.is_silent = manner.is_silent
        self.inlet = Inlet(
            asyncio.get_running_loop(),
            pictures,
            (size.width, size.height),
            events.put,
            mirror=manner.mirror,
            barcode=rules.barcode,
            max_pixels=rules.max_pixels,
            max_fps=rules.max_fps,
        )
        number_of = self.inlet.number_of if rules.barcode else None
        self._out = None
        if not manner.is_silent:
            self._out = OutTrack(pictures, timings=events.timing, number_of=number_of)
        self._events, self._rules, self._clock = events, rules, clock
        self._talk = Talk(
            TalkEvents(deal=events.deal, output=events.output, over=events.over),
            tell=self.tell,
            clock=clock,
        )
        self._received = 0
        self._size = size
        self._connected_s: float | None = None
        self._is_closed = False
        self._peer = Peer(
            PeerEvents(on_track=self._watch, on_message=self._hear, on_state=self._turn),
            self._out,
            direction="recvonly" if manner.is_silent else "sendrecv",
            ice_servers=rules.ice_servers(),
            codec="auto" if manner.is_silent else rules.codec,
            labels=() if manner.is_silent else (CONTROL, LIVE),
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def heard_s(self) -> float:
        """When it was last heard; of one that says nothing, when it was last known to be there."""
        return max(self._talk.heard_s, self._alive_s)

    @property
    def is_deserted(self) -> bool:
        """Whether nothing has come for a while, so that a publisher's place may be taken."""
        self.look()
        now = self._clock()
        if now - self.seen_s <= self._rules.quiet_s:
            return False
        is_waiting = self._connected_s is not None and not self.inlet.received
        return not is_waiting or now - self._born_s > FIRST_KEY_S

    @property
    def lacks_key(self) -> bool:
        """Whether a publisher is there whose pictures cannot be decoded yet."""
        if not self.is_silent or self._connected_s is None or self.inlet.received:
            return False
        return self._clock() - self._connected_s > self._rules.quiet_s

    async def answer(self, offer: Offer) -> str:
        """Answer the peer's offer."""
        # Publishers need not understand what is a wish to browsers.
        return await agree(self._peer, offer, self._rules, has_floor=not self.is_silent)

    async def add_candidates(self, fragment: str) -> None:
        """Try these addresses of the peer's, too; BadFragment."""
        await self._peer.add_candidates(fragment)

    def show(self, frame: Frame) -> None:
        """Offer an answer of the model."""
        if self._out is not None:
            self._out.show(frame)

    def show_input(self, frame: Frame) -> None:
        """Offer a frame as it came."""
        if self._out is not None:
            self._out.show_input(frame)

    def set_mode(self, output: Output) -> None:
        """Show something else."""
        if self._out is not None:
            self._out.set_mode(output)

    def tell(self, message: Mapping[str, object], *, label: str = CONTROL) -> bool:
        """Say something to the peer; False where it cannot hear."""
        return self._peer.send(label, message)

    def look(self) -> None:
        """Note whether pictures came since the last look, and whether a silent peer is there."""
        if self.inlet.received != self._received:
            self._received = self.inlet.received
            self.seen_s = self._clock()
        if self.is_silent and (self._peer.state == "connected" or self.seen_s > self._alive_s):
            self._alive_s = self._clock()

    def feed(self, size: Size) -> None:
        """Bring frames to this size from now on."""
        if size != self._size:
            self._size = size
            self.inlet.resize(size.width, size.height)

    async def close(self, says: str | None = None) -> None:
        """Close the connection, with last words where there are any; twice is once."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._peer.leave(says, within_s=self._rules.last_words_s)
        finally:
            await self._talk.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._events.closed()

    def _watch(self, track: MediaStreamTrack) -> None:
        inlet = self.inlet if track.kind == "video" else None
        self._tasks.append(asyncio.create_task(self._drain(track, inlet), name="drain"))

    async def _drain(self, track: MediaStreamTrack, inlet: Inlet | None) -> None:
        try:
            await drain(track, inlet)
        except TooLarge as error:
            self._events.over(str(error))
        # A fault in one peer's pictures is that peer's end, and nobody else's.
        except Exception:
            logger.exception("the pictures of a peer could not be read")
            self._events.over("the video could not be read")

    def _turn(self, state: str) -> None:
        if state == "connected" and self._connected_s is None:
            self._connected_s = self._clock()
        if state in ("failed", "closed") and not self._is_closed:
            self._events.lost()

    def _hear(self, label: str, data: str | bytes) -> None:
        if not self._is_closed:
            self._talk.hear(label, data)
