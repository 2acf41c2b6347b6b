"""The peer that a session belongs to: it comes, may be lost, and may come again.

Knows neither streams nor guests, nor how a visit is made.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from server.aging import Ages
from server.messages import CONTROL
from server.nouns import NameTaken, Offer, Output, UnknownSession
from server.steering import Ear
from server.visit import Manner, Visit
from streamgen.frame import Frame
from streamgen.sources.geometry import Size


class MakeVisit(Protocol):
    """Makes a visit; lost, over: as in `VisitEvents`."""

    def __call__(
        self, manner: Manner, *, lost: Callable[[], None], over: Callable[[str], None]
    ) -> Visit: ...


class Owner:
    """Whoever makes one ends it."""

    def __init__(
        self,
        make: MakeVisit,
        *,
        over: Callable[[str], object],
        clock: Callable[[], float],
    ) -> None:
        """over: told that the session should end, and why.

        peer: an id of the newest connection, which those before it did not have.
        """
        self.is_publisher = False
        self.peer = ""
        self._make, self._over, self._clock = make, over, clock
        self._entering = asyncio.Lock()
        self._visit: Visit | None = None
        self._visits = 0
        self._opened_s = clock()
        self._lost_s: float | None = None
        self._is_ended = False
        self._closings: set[asyncio.Task[None]] = set()

    @property
    def is_here(self) -> bool:
        """Whether there is a connection."""
        return self._visit is not None

    @property
    def is_deserted(self) -> bool:
        """Whether it was a publisher and sends nothing any more: another one may come."""
        return self.is_publisher and (self._visit is None or self._visit.is_deserted)

    @property
    def lacks_key(self) -> bool:
        """Whether its pictures cannot be decoded before the first key frame."""
        return self._visit is not None and self._visit.lacks_key

    def ages(self) -> Ages:
        """Tell how long ago everything was."""
        now, visit = self._clock(), self._visit
        if visit is not None:
            visit.look()
        return Ages(
            opened_s=now - self._opened_s,
            silent_s=now - visit.heard_s if visit else 0.0,
            blind_s=now - visit.seen_s if visit else 0.0,
            lost_s=None if visit or self._lost_s is None else now - self._lost_s,
        )

    async def enter(self, offer: Offer, manner: Manner) -> str:
        """Let a peer in, in place of one that was here; return the answer to its offer.

        A publisher comes in only where nobody was, or nothing comes any more: else NameTaken.
        """
        async with self._entering:
            if self._is_ended:
                raise UnknownSession("this session has ended: start a new one")
            if manner.is_silent and self._visits and not self.is_deserted:
                raise NameTaken("another publisher was faster: choose another name")
            await self._leave("this session goes on elsewhere")
            self._visits += 1
            number = self._visits
            visit = self._make(
                manner, lost=partial(self._lost, number), over=partial(self._asked_over, number)
            )
            try:
                answer = await visit.answer(offer)
            except BaseException:
                await visit.close()
                raise
            self._visit, self._lost_s = visit, None
            self.peer = secrets.token_urlsafe(16)
            self.is_publisher = manner.is_silent
            return answer

    async def add_candidates(self, fragment: str) -> None:
        """Try these addresses of the peer's, too; BadFragment, UnknownSession."""
        if self._visit is None:
            raise UnknownSession("nobody is connected: offer a new connection")
        await self._visit.add_candidates(fragment)

    def tell(
        self, message: Mapping[str, object], besides: Ear | None = None, *, label: str = CONTROL
    ) -> None:
        """Say something to the peer, if it is there and not the one who knows."""
        if self._visit is not None and self._visit is not besides:
            self._visit.tell(message, label=label)

    def show(self, frame: Frame) -> None:
        """Offer an answer of the model."""
        if self._visit is not None:
            self._visit.show(frame)

    def show_input(self, frame: Frame) -> None:
        """Offer a frame as it came; from any thread."""
        visit = self._visit
        if visit is not None:
            visit.show_input(frame)

    def set_mode(self, output: Output) -> None:
        """Show something else."""
        if self._visit is not None:
            self._visit.set_mode(output)

    def feed(self, size: Size) -> None:
        """Bring frames to this size from now on."""
        if self._visit is not None:
            self._visit.feed(size)

    def lose(self, says: str | None = None) -> None:
        """Keep the place of a peer that is gone, for a moment from when it was heard last."""
        visit = self._visit
        if visit is None:
            return
        self._visit, self._lost_s = None, visit.heard_s
        task = asyncio.create_task(visit.close(says), name="close-visit")
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)

    async def end(self, why: str) -> None:
        """Let nobody in any more, and wait until everything is gone."""
        self._is_ended = True
        async with self._entering:
            await self._leave(why)
            await asyncio.gather(*self._closings, return_exceptions=True)

    async def _leave(self, why: str) -> None:
        visit, self._visit = self._visit, None
        if visit is not None:
            self._lost_s = self._clock()
            await visit.close(why)

    def _asked_over(self, number: int, why: str) -> None:
        if number == self._visits:
            self._over(why)

    def _lost(self, number: int) -> None:
        if number == self._visits:
            self.lose()
