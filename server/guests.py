"""The guests of one stream: let in, told what goes on, and let go; nothing of them stays behind.

A guest has no time-out: it lives as its connection does. Knows no session.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from functools import partial

from server.audience import Audience
from server.guest import Guest, GuestEvents
from server.mailbox import Letter
from server.nouns import (
    Offer,
    Output,
    QueueFull,
    UnknownSession,
    UnknownStream,
)
from server.rules import SessionRules
from server.steering import Ear, Steering

logger = logging.getLogger(__name__)


class Guests:
    """Whoever makes them ends them."""

    def __init__(
        self,
        audience: Audience,
        steering: Steering,
        rules: SessionRules,
        *,
        output: Callable[[Output, Ear], None],
        clock: Callable[[], float],
    ) -> None:
        """output: told what a guest wants to be shown, and by whom."""
        self._audience, self._steering, self._rules = audience, steering, rules
        self._output, self._clock = output, clock
        self._here: dict[str, Guest] = {}
        self._is_ended = False
        self._leaving: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._here)

    async def let_in(self, offer: Offer, *, may_control: bool) -> tuple[str, str]:
        """Let somebody in; return an id and the answer.

        Raises QueueFull, OfferRefused, NegotiationTimedOut, and UnknownStream where all has ended.
        """
        if self._is_ended:
            raise UnknownStream("this stream has ended")
        if len(self._here) >= self._rules.guests:
            says = f"this stream has its {self._rules.guests} guests: come back later"
            raise QueueFull(says)
        id = secrets.token_urlsafe(16)
        guest = self._here[id] = self._made(id, may_control)
        try:
            answer = await guest.answer(offer)
            if guest.is_closed:
                raise UnknownStream("this stream has ended")
        except BaseException:
            await asyncio.shield(self._let_go(id, None))
            raise
        return id, answer

    async def let_go(self, id: str, why: str | None = None) -> None:
        """Let a guest go and wait until everything of it is gone; UnknownSession."""
        self._known(id)
        await asyncio.shield(self._let_go(id, why))

    async def add_candidates(self, id: str, fragment: str) -> None:
        """Try these addresses of a guest's, too; UnknownSession, BadFragment."""
        await self._known(id).add_candidates(fragment)

    def tell(self, message: Mapping[str, object], besides: Ear | None = None) -> None:
        """Say something to all who may control."""
        for guest in self._here.values():
            if guest.may_control and guest is not besides:
                guest.tell(message)

    def look(self) -> None:
        """Let go who never came."""
        now = self._clock()
        for id, guest in list(self._here.items()):
            if not guest.is_connected and now - guest.born_s > self._rules.arrive_s:
                self._let_go(id, None)

    async def end(self, why: str) -> None:
        """Let all go, and nobody in any more."""
        self._is_ended = True
        for id in list(self._here):
            self._let_go(id, why)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _known(self, id: str) -> Guest:
        if id not in self._here:
            raise UnknownSession("this guest is not there, or has left")
        return self._here[id]

    def _made(self, id: str, may_control: bool) -> Guest:
        hand = self._steering.hands.take()

        async def deal(letter: Letter) -> None:
            await self._steering.deal(letter, hand, guest)

        events = GuestEvents(
            deal=deal,
            output=lambda mode: self._output(mode, guest),
            over=partial(self._let_go, id),
            closed=hand.free,
        )
        guest = Guest(
            events, self._audience, self._rules, may_control=may_control, clock=self._clock
        )
        return guest

    def _let_go(self, id: str, why: str | None) -> asyncio.Task[None]:
        """Have a guest's connection closed by a task of its own."""
        guest = self._here.pop(id, None)
        task = asyncio.create_task(_closed(guest, why), name="close-guest")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task


async def _closed(guest: Guest | None, why: str | None) -> None:
    if guest is None:
        return
    try:
        await guest.close(why)
    # One guest's fault is nobody else's; everything that can be closed was.
    except Exception:
        logger.exception("a guest could not be let go")
