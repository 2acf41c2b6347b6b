"""All sessions of a server: who may have one, how long it is kept, and that nothing stays behind.

A seat is taken before a connection exists, and given back when everything of the session is gone.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress

from server.desk import Desk
from server.memory import Memory, Remembered
from server.nouns import (
    Draining,
    EngineWish,
    Offer,
    Opened,
    Patched,
    Place,
    SeatCount,
    SessionPatch,
    SessionStatus,
    State,
    Wish,
)
from server.poll import Poll
from server.rules import SessionRules
from server.session import Session, Surroundings
from server.table import Table
from server.waiting import WaitingRoom
from streamgen.control_schema import controls_from
from streamgen.models.registry import find_model

logger = logging.getLogger(__name__)


class Sessions:
    """Opened by the edge, one for every visitor; `end` leaves nothing behind."""

    def __init__(
        self,
        desk: Desk,
        rules: SessionRules,
        pictures: Executor,
        *,
        clock: Callable[[], float] = time.monotonic,
        stage: Callable[[str, float], None] = lambda name, ms: None,
    ) -> None:
        """pictures: where they are converted. stage: told what sampled frames waited for, in ms."""
        self.is_draining = False
        self._rules, self._desk = rules, desk
        self._around = Surroundings(
            desk=desk, rules=rules, pictures=pictures, clock=clock, stage=stage
        )
        self._room = WaitingRoom(
            seats=rules.seats, queue=rules.queue, hold_s=rules.ticket_s, clock=clock
        )
        self._memory = Memory(keep_s=rules.memory_s, clock=clock)
        self._table = Table(self._memory)
        self._poll = Poll(desk, clock)
        self._looking: asyncio.Task[None] | None = None

    async def open(self, offer: Offer, wish: Wish) -> Opened:
        """Open a session, or let the visitor of one come back.

        Raises SeatsTaken with a place in the queue, QueueFull, WrongTicket, UnknownResume,
        ConfigError and Full for what cannot be drawn, OfferRefused, NegotiationTimedOut, Draining.
        """
        if self.is_draining:
            raise Draining("the server is about to stop: come back in a minute")
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking(), name="look")
        if wish.size is not None:
            self._rules.config(wish.size)
        if wish.resume is not None and (known := self._table.find(wish.resume)) is not None:
            return await self._come_back(known, offer, wish)
        remembered = self._memory.recall(wish.resume) if wish.resume is not None else None
        defaults = remembered.controls if remembered else find_model(self._rules.model).controls
        controls_from(wish.controls, defaults=defaults)
        return await self._begin(offer, wish, remembered)

    async def patch(self, id: str, patch: SessionPatch) -> Patched:
        """Change what is named, and tell the page of it; nothing where a part cannot be."""
        session = self._table.get(id)
        if patch.engine is not None:
            self._rules.changed(session.stream.wanted, patch.engine)
        steering, is_stale = session.steering, False
        if patch.controls is not None:
            said = {"sequence": patch.sequence, "over_s": patch.over_s}
            answer = await steering.patch(patch.controls, hand=f"rest:{patch.hand}", **said)  # type: ignore[arg-type]  # a number each
            is_stale = answer["is_stale"]
            steering.tell_controls()
        if patch.output is not None:
            session.show_output(patch.output)
            session.tell({"type": "output", "id": 0, "mode": patch.output})
        if patch.engine is not None:
            await steering.change(patch.engine)
        return Patched(
            revision=steering.revision,
            is_stale=is_stale,
            controls=steering.controls,
            output=session.output,
            stream=session.stream.facts(self._poll.last()),
        )

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

    def states(self) -> Mapping[State, int]:
        """Count the sessions by state."""
        last = self._poll.last()
        return Counter(session.status(last).state for session in self._table)

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

    async def _begin(self, offer: Offer, wish: Wish, remembered: Remembered | None) -> Opened:
        """Open a session on a seat of its own, which is free again on every path but success."""
        seat = self._room.take(wish.ticket)
        session = Session(
            self._around,
            id=secrets.token_urlsafe(16),
            resume=wish.resume if remembered and wish.resume else secrets.token_urlsafe(24),
            over=self._table.end,
        )
        try:
            await self._furnish(session, wish, remembered)
            self._table.add(session, seat)
            answer = await session.enter(offer, mirror=wish.mirror)
            if self.is_draining:
                raise Draining("the server is about to stop: come back in a minute")
        except BaseException:
            ending = self._table.end(session, "it could not be opened")
            await (ending or session.end("it could not be opened"))
            seat.free()
            raise
        logger.info("session %s is open, %d in all", session.id[:6], len(self._table))
        return self._opened(session, answer)

    async def _furnish(self, session: Session, wish: Wish, remembered: Remembered | None) -> None:
        """Open the stream of a session, with what is remembered or what is wished for."""
        if remembered is None:
            await session.begin(wish.size or self._rules.size, wish.controls, "live")
            return
        size = wish.size or remembered.size
        await session.begin(size, remembered.controls, remembered.output)
        if wish.controls:
            await session.steering.patch(wish.controls, hand="return")

    async def _come_back(self, session: Session, offer: Offer, wish: Wish) -> Opened:
        if wish.controls:
            await session.steering.patch(wish.controls, hand="return")
        if wish.size is not None:
            await session.steering.change(EngineWish(size=wish.size))
        if wish.ticket is not None:
            self._room.leave(wish.ticket)
        answer = await session.enter(offer, mirror=wish.mirror)
        return self._opened(session, answer)

    def _opened(self, session: Session, answer: str) -> Opened:
        return Opened(
            id=session.id,
            sdp=answer,
            resume=session.resume,
            controls=session.steering.controls,
            revision=session.steering.revision,
            output=session.output,
            stream=session.stream.facts(self._poll.last()),
        )
