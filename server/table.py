"""The sessions that are open, and those on their way out; every one leaves its seat free.

Their streams have names, no two the same. Knows how to end a session, not when.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from server.memory import Memory, Remembered
from server.nouns import NameTaken, UnknownSession, UnknownStream
from server.session import Session
from server.waiting import Seat

logger = logging.getLogger(__name__)


class Table:
    """Where sessions sit; what is remembered of them goes into a memory when they leave.

    Of sessions whose stream was given a name something is remembered by that name, too.
    """

    def __init__(self, memory: Memory, *, by_name: Memory) -> None:
        self._memory, self._by_name = memory, by_name
        self._open: dict[str, tuple[Session, Seat]] = {}
        self._names: dict[str, str] = {}
        self._endings: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Session]:
        """Go through those that are open; they may leave meanwhile."""
        return iter([session for session, _ in self._open.values()])

    def __len__(self) -> int:
        return len(self._open)

    def check_free(self, name: str | None) -> None:
        """Raise NameTaken where another stream has this name."""
        if name in self._names:
            says = f"stream {name!r} is taken: choose another name, or wait until it has ended"
            raise NameTaken(says)

    def name(self, session: Session) -> None:
        """Keep the name of a session's stream for it until it ends; it was free just now."""
        self._names[session.name] = session.id

    def add(self, session: Session, seat: Seat) -> None:
        """Let a session in, on a seat of its own."""
        self._open[session.id] = (session, seat)

    def named(self, name: str) -> Session:
        """Return the session whose stream has this name; UnknownStream."""
        session = self.find_named(name) or self.find_named(name.lower())
        if session is None:
            says = f"stream {name[:60]!r} is not there: it has not begun, or has ended"
            raise UnknownStream(says)
        return session

    def find_named(self, name: str) -> Session | None:
        """Return the session whose stream has just this name."""
        found = self._open.get(self._names.get(name, ""))
        return None if found is None else found[0]

    def remembered(self, name: str | None) -> Remembered | None:
        """Return what is remembered of the last stream of this name."""
        return None if name is None else self._by_name.find(name)

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
        if self._names.get(session.name) == session.id:
            del self._names[session.name]
        if session.id not in self._open:
            return self._endings.get(session.id)
        _, seat = self._open.pop(session.id)
        self._memory.keep(session.resume, session.remembered())
        if session.is_named:
            self._by_name.keep(session.name, session.remembered())
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
