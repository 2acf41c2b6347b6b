"""One connection of a session's peer: its video in and out, and what it says.

Knows no other session, and of controls only that somebody deals with them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

from aiortc import MediaStreamTrack

from server.aiortc_tuning import tuned_answer
from server.errors import TooLarge
from server.mailbox import Letter, Mailbox
from server.messages import (
    CONTROL,
    BadMessage,
    ByeMessage,
    OutputMessage,
    PingMessage,
    Reader,
    TooManyBad,
    closed,
    refused,
)
from server.nouns import Offer, Output
from server.peers import Peer, PeerEvents
from server.pictures import Inlet
from server.rules import SessionRules
from server.tracks import OutTrack, Timing, drain
from streamgen.frame import Frame
from streamgen.sources.geometry import Size

logger = logging.getLogger(__name__)

#: How long a peer that is closed may take to hear why.
LAST_WORDS_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitEvents:
    """What a visit asks of its session, on the event loop but for `put`.

    put: gets frames, in a thread. deal: with a message, one after the other. output: what is to be
    shown. timing: of a shown picture. lost: the connection is gone. over: the visitor goes, or
    must, and why.
    """

    put: Callable[[Frame], None]
    deal: Callable[[Letter], Awaitable[None]]
    output: Callable[[Output], None]
    timing: Callable[[Timing], None]
    lost: Callable[[], None]
    over: Callable[[str], None]


class Visit:
    """Whoever makes one closes it."""

    def __init__(
        self,
        events: VisitEvents,
        rules: SessionRules,
        pictures: Executor,
        *,
        size: Size,
        mirror: bool,
        clock: Callable[[], float],
    ) -> None:
        self.heard_s = self.seen_s = clock()
        self.inlet = Inlet(
            asyncio.get_running_loop(),
            pictures,
            (size.width, size.height),
            events.put,
            mirror=mirror,
            barcode=rules.barcode,
            max_pixels=rules.max_pixels,
            max_fps=rules.max_fps,
        )
        number_of = self.inlet.number_of if rules.barcode else None
        self.out = OutTrack(pictures, timings=events.timing, number_of=number_of)
        self._events, self._rules, self._clock = events, rules, clock
        self._reader = Reader(clock)
        self._mailbox = Mailbox()
        self._received = 0
        self._size = size
        self._is_closed = False
        self._peer = Peer(
            PeerEvents(on_track=self._watch, on_message=self._hear, on_state=self._turn),
            self.out,
            ice_servers=rules.ice_servers(),
            codec=rules.codec,
        )
        self._tasks = [asyncio.create_task(self._deal(), name="deal")]

    async def answer(self, offer: Offer) -> str:
        """Answer the peer's offer."""
        return tuned_answer(
            await self._peer.answer(offer.sdp),
            uplink_floor_kbps=self._rules.uplink_floor_kbps,
            uplink_start_kbps=self._rules.uplink_start_kbps,
            public_ip=self._rules.public_ip,
        )

    def tell(self, message: Mapping[str, object], *, label: str = CONTROL) -> bool:
        """Say something to the peer; False where it cannot hear."""
        return self._peer.send(label, message)

    def look(self) -> None:
        """Note whether pictures came since the last look."""
        if self.inlet.received != self._received:
            self._received = self.inlet.received
            self.seen_s = self._clock()

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
        if says is not None and self.tell(closed(says)):
            await self._peer.flush(LAST_WORDS_S)
        await self._peer.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _watch(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._drain(track), name="drain"))

    async def _drain(self, track: MediaStreamTrack) -> None:
        try:
            await drain(track, self.inlet)
        except TooLarge as error:
            self._events.over(str(error))
        # A fault in one peer's pictures is that peer's end, and nobody else's.
        except Exception:
            logger.exception("the pictures of a peer could not be read")
            self._events.over("the video could not be read")

    def _turn(self, state: str) -> None:
        if state in ("failed", "closed") and not self._is_closed:
            self._events.lost()

    def _hear(self, label: str, data: str | bytes) -> None:
        """Take a message; called inside of aiortc, which must not see an error."""
        if self._is_closed:
            return
        try:
            message = self._reader.read(label, data)
        except BadMessage as error:
            self.tell(refused(error.id, str(error)))
            return
        except TooManyBad as error:
            self._events.over(str(error))
            return
        self.heard_s = self._clock()
        if isinstance(message, PingMessage):
            self.tell({"type": "pong", "t": message.t})
        elif isinstance(message, OutputMessage):
            # Overtakes what waits for the model: whoever wants out of a picture wants it now.
            self._events.output(message.mode)
            self.tell({"type": "output", "id": message.id, "mode": message.mode})
        elif isinstance(message, ByeMessage):
            self._events.over("the page said goodbye")
        elif not self._mailbox.put(label, message):
            self.tell(refused(message.id, "too many messages wait: slow down"))

    async def _deal(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                await self._events.deal(await self._mailbox.get())
