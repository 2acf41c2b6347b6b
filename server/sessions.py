"""All sessions of a server: who may have one, how long it is kept, and that nothing stays behind.

A seat is taken before a connection exists, and given back when everything of the session is gone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial

from server.aiortc_tuning import Tuning
from server.aiortc_tuning.shared import SharedH264
from server.desk import Desk
from server.memory import Memory, Remembered
from server.names import stream_name
from server.nouns import (
    BadName,
    EngineWish,
    Offer,
    Opened,
    Patched,
    Place,
    SeatCount,
    SessionPatch,
    SessionStatus,
    Wish,
)
from server.poll import Poll
from server.recorder_files import RecordingPlace
from server.rules import SessionRules
from server.session import Session
from server.streams import Streams
from server.surroundings import Surroundings
from server.table import Table
from server.visit import Manner
from server.waiting import WaitingRoom
from streamgen.control_schema import controls_from

logger = logging.getLogger(__name__)


class Sessions(Streams):
    """Opened by the edge, one for every visitor; `end` leaves nothing behind."""

    def __init__(
        self,
        desk: Desk,
        rules: SessionRules,
        pictures: Executor,
        *,
        clock: Callable[[], float] = time.monotonic,
        stage: Callable[[str, float], None] = lambda name, ms: None,
        recordings: RecordingPlace | None = None,
    ) -> None:
        """pictures: where they are converted. stage: told what sampled frames waited for, in ms.

        recordings: where they go; None refuses them.
        """
        memory = Memory(keep_s=rules.memory_s, clock=clock)
        by_name = Memory(keep_s=rules.memory_s, clock=clock)
        super().__init__(Table(memory, by_name=by_name), Poll(desk, clock), rules)
        self._memory = memory
        self._around = Surroundings(
            desk=desk,
            rules=rules,
            pictures=pictures,
            clock=clock,
            stage=stage,
            encoder=partial(SharedH264, Tuning(), bitrate=1000 * rules.audience_kbps),
            recordings=recordings,
        )
        self._room = WaitingRoom(
            seats=rules.seats, queue=rules.queue, hold_s=rules.ticket_s, clock=clock
        )
        self._looking: asyncio.Task[None] | None = None

    async def open(self, offer: Offer, wish: Wish) -> Opened:
        """Open a session, or let the visitor of one come back.

        Raises SeatsTaken with a place in the queue, QueueFull, WrongTicket, UnknownResume, BadName,
        NameTaken, ConfigError and Full for what cannot be drawn, OfferRefused, NegotiationTimedOut,
        Draining.
        """
        name = self._begin_looking(wish)
        manner = Manner(mirror=wish.mirror)
        if wish.resume is not None and (known := self._table.find(wish.resume)) is not None:
            return await self._come_back(known, offer, wish, manner)
        if wish.resume is None:
            remembered = self._table.remembered(name)
        else:
            remembered = self._memory.recall(wish.resume)
        return await self._begin(offer, wish, remembered, manner)

    async def publish(self, offer: Offer, wish: Wish) -> Opened:
        """Open a session for a publisher, who is shown nothing and says nothing.

        One who comes back under a name that nothing is sent for any more, gets the session as it
        was. Raises what `open` does.
        """
        name = self._begin_looking(wish)
        if name is None:
            raise BadName("a publisher needs a name for its stream: put one into the address")
        manner = Manner(mirror=wish.mirror, is_silent=True)
        known = self._table.find_named(name)
        if known is not None and known.owner.is_deserted:
            return await self._come_back(known, offer, wish, manner)
        return await self._begin(offer, wish, self._table.remembered(name), manner)

    async def patch(self, id: str, patch: SessionPatch) -> Patched:
        """Change what is named, and tell all who steer; nothing where a part cannot be."""
        return await self._patch(self._table.get(id), patch)

    async def status(self, id: str) -> SessionStatus:
        """Tell how a session is doing."""
        session = self._table.get(id)
        return session.status(await self._poll.fresh(session.stream.names))

    async def close(self, id: str, why: str = "ended by its page") -> None:
        """End a session and wait until everything of it is gone."""
        session = self._table.get(id)
        ending = self._table.end(session, why)
        assert ending is not None, "it was there just now"
        await asyncio.shield(ending)

    def place(self, ticket: str) -> Place:
        """Tell where a ticket stands, and keep it alive; WrongTicket."""
        return self._room.place(ticket)

    def leave(self, ticket: str) -> None:
        """Give a ticket up."""
        self._room.leave(ticket)

    def seats(self) -> SeatCount:
        """Tell how full it is."""
        return self._room.count()

    def ids(self) -> list[str]:
        """Return the sessions that are open."""
        return [session.id for session in self._table]

    async def drain(self, in_s: float) -> None:
        """Take nobody new, tell who is here, wait so long for them to go, and end what is left."""
        self.is_draining = True
        for session in self._table:
            session.tell({"type": "draining", "in_s": in_s})
        with suppress(TimeoutError):
            async with asyncio.timeout(in_s):
                await self._table.empty()
        await self._table.end_all("the server is stopping")

    async def end(self) -> None:
        """End everything at once."""
        self.is_draining = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._table.end_all("the server is stopping")
        await self._poll.end()

    def look(self) -> None:
        """See to every session; called again and again while there are any."""
        names = [name for session in self._table for name in session.stream.names]
        snapshot = self._poll.ask(names)
        for session in self._table:
            session.look(snapshot)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._rules.look_s)
            try:
                self.look()
            # One session's fault must not keep the others from being looked after.
            except Exception:
                logger.exception("looking after the sessions failed")

    def _begin_looking(self, wish: Wish) -> str | None:
        """Check a wish before anything is done; return the name that it has for a stream."""
        self._check_open()
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking(), name="look")
        if wish.size is not None:
            self._rules.config(wish.size)
        return None if wish.name is None else stream_name(wish.name)

    async def _begin(
        self, offer: Offer, wish: Wish, remembered: Remembered | None, manner: Manner
    ) -> Opened:
        """Open a session on a seat of its own, which is free again on every path but success."""
        defaults = remembered.controls if remembered else self._rules.row.controls
        controls_from(wish.controls, defaults=defaults)
        name = None if wish.name is None else stream_name(wish.name)
        self._table.check_free(name)
        seat = self._room.take(wish.ticket)
        session = Session(
            self._around,
            id=secrets.token_urlsafe(16),
            name=name,
            resume=wish.resume if remembered and wish.resume else secrets.token_urlsafe(24),
            over=self._table.end,
        )
        try:
            self._table.name(session)
            await session.begin(wish, remembered)
            self._table.add(session, seat)
            answer = await session.enter(offer, manner)
            self._check_open()
        except BaseException:
            ending = self._table.end(session, "it could not be opened")
            await (ending or session.end("it could not be opened"))
            seat.free()
            raise
        logger.info("session %s is open, %d in all", session.id[:6], len(self._table))
        return self._opened(session, answer)

    async def _come_back(
        self, session: Session, offer: Offer, wish: Wish, manner: Manner
    ) -> Opened:
        if wish.controls:
            await session.steering.patch(wish.controls, hand="return")
        if wish.size is not None:
            await session.steering.change(EngineWish(size=wish.size))
        if wish.ticket is not None:
            self._room.leave(wish.ticket)
        answer = await session.enter(offer, manner)
        return self._opened(session, answer)

    def _opened(self, session: Session, answer: str) -> Opened:
        return Opened(
            id=session.id,
            peer=session.owner.peer,
            sdp=answer,
            resume=session.resume,
            name=session.name,
            controls=session.steering.controls,
            revision=session.steering.revision,
            output=session.output,
            stream=session.stream.facts(self._poll.last()),
        )
