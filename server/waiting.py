"""Seats and the queue for them; plain arithmetic on a clock, knows no sessions.

Who asks first comes first. Tickets live while they are asked about; a free seat is held for the
first ticket for as long, and then for the next.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from server.nouns import Place, QueueFull, SeatCount, SeatsTaken, WrongTicket

#: How often who waits is asked to look, in seconds.
RETRY_S = 2.0


@dataclass(slots=True, kw_only=True)
class _Ticket:
    """heard_s: when it was asked about last. ready_s: since when a seat is held for it."""

    heard_s: float
    ready_s: float | None = None


class Seat:
    """A place for one session, until it is freed."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def free(self) -> None:
        """Give it back; the second time changes nothing."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class WaitingRoom:
    """Gives out seats, at most `seats` at a time, and tickets to who comes after."""

    def __init__(
        self,
        *,
        seats: int,
        queue: int,
        hold_s: float,
        clock: Callable[[], float],
        token: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        """queue: tickets at most. hold_s: life of a ticket, and of a seat held for it."""
        self._seats, self._queue, self._hold_s = seats, queue, hold_s
        self._clock, self._token = clock, token
        self._taken = 0
        self._tickets: dict[str, _Ticket] = {}

    def take(self, ticket: str | None = None) -> Seat:
        """Take a seat; who takes it frees it.

        Raises SeatsTaken with a place in the queue, WrongTicket, QueueFull.
        """
        self._tidy()
        if ticket is None and self._open_seats() > len(self._tickets):
            return self._seat()
        place = self.place(ticket) if ticket is not None else self._queued()
        if not place.is_ready:
            raise SeatsTaken(place)
        del self._tickets[place.ticket]
        return self._seat()

    def place(self, ticket: str) -> Place:
        """Tell where a ticket stands, and keep it alive."""
        self._tidy()
        if ticket not in self._tickets:
            raise WrongTicket("this ticket is not valid any more: ask for a new one")
        self._tickets[ticket].heard_s = self._clock()
        return self._place(ticket)

    def leave(self, ticket: str) -> None:
        """Give a ticket up; one that is not known is given up already."""
        self._tickets.pop(ticket, None)
        self._tidy()

    def count(self) -> SeatCount:
        """Tell how many seats there are, could be taken by a newcomer, and are waited for."""
        self._tidy()
        free = max(self._open_seats() - len(self._tickets), 0)
        return SeatCount(all=self._seats, free=free, waiting=len(self._tickets))

    def _seat(self) -> Seat:
        self._taken += 1
        return Seat(self._free)

    def _free(self) -> None:
        self._taken -= 1
        self._tidy()

    def _open_seats(self) -> int:
        return self._seats - self._taken

    def _queued(self) -> Place:
        if len(self._tickets) >= self._queue:
            raise QueueFull(f"all seats are taken and {self._queue} wait for one: come back later")
        ticket = self._token()
        self._tickets[ticket] = _Ticket(heard_s=self._clock())
        return self._place(ticket)

    def _place(self, ticket: str) -> Place:
        position = list(self._tickets).index(ticket) + 1
        is_ready = position <= self._open_seats()
        return Place(ticket=ticket, position=position, is_ready=is_ready, retry_s=RETRY_S)

    def _tidy(self) -> None:
        """Forget tickets nobody asks about, and those that do not take what is held for them."""
        now = self._clock()
        for name, ticket in list(self._tickets.items()):
            held_s = now - ticket.ready_s if ticket.ready_s is not None else 0.0
            if max(now - ticket.heard_s, held_s) > self._hold_s:
                del self._tickets[name]
        for position, ticket in enumerate(self._tickets.values()):
            if position >= self._open_seats():
                ticket.ready_s = None
            elif ticket.ready_s is None:
                ticket.ready_s = now
