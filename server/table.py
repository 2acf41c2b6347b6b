"""The sessions that are open, and those on their way out; every one leaves its seat free.

Knows how to end a session, not when.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from server.memory import Memory
from server.nouns import UnknownSession
from server.session import Session
from server.waiting import Seat

logger = logging.getLogger(__name__)


class Table:
    """Where sessions sit; what is remembered of them goes into a memory when they leave."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._open: dict[str, tuple[Session, Seat]] = {}
        self._endings: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Session]:
        """Go through those that are open; they may leave meanwhile."""
        return iter([session for session, _ in self._open.values()])

    def __len__(self) -> int:
        return len(self._open)

    def add(self, session: Session, seat: Seat) -> None:
        """Let a session in, on a seat of its own."""
        self._open[session.id] = (session, seat)

    def get(self, id: str) -> Session:
        """Return a session; UnknownSession where it is not there."""
        if id not in self._open:
            raise UnknownSession("this session is not there, or has ended: start a new one")
        return self._open[id][0]

    def find(self, resume: str) -> Session | None:
        """Return the session that this token brings back."""
        return next((each for each in self if each.resume == resume), None)

    def end(self, session: Session, why: str) -> asyncio.Task[None] | None:
        """Have a session ended by a task of its own; None where it is on its way already."""
        if session.id not in self._open:
            return self._endings.get(session.id)
        _, seat = self._open.pop(session.id)
        self._memory.keep(session.resume, session.remembered())
        logger.info("session %s ends: %s", session.id[:6], why)
        task = asyncio.create_task(self._end(session, seat, why), name="end-session")
        self._endings[session.id] = task
        return task

    async def end_all(self, why: str) -> None:
        """End every session and wait for it."""
        for session in self:
            self.end(session, why)
        await asyncio.gather(*self._endings.values(), return_exceptions=True)

    async def empty(self) -> None:
        """Wait until all have left."""
        while self._open or self._endings:
            self._changed.clear()
            await self._changed.wait()

    async def _end(self, session: Session, seat: Seat, why: str) -> None:
        try:
            await session.end(why)
        # Whatever it was, the seat is free again and the others go on.
        except Exception:
            logger.exception("session %s did not end well", session.id[:6])
        finally:
            seat.free()
            self._endings.pop(session.id, None)
            self._changed.set()
