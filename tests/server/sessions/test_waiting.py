"""The waiting room in time that passes when it is told to."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.nouns import QueueFull, SeatsTaken, WrongTicket
from server.waiting import WaitingRoom


class Room:
    def __init__(self, seats=2, queue=8):
        self.now = 0.0
        names = count()
        self.room = WaitingRoom(
            seats=seats,
            queue=queue,
            hold_s=15,
            clock=lambda: self.now,
            token=lambda: f"t{next(names)}",
        )

    def wait(self):
        with pytest.raises(SeatsTaken) as taken:
            self.room.take()
        return taken.value.place.ticket

    def kept(self, *tickets):
        return [self.room.place(ticket).position for ticket in tickets]


def test_who_comes_first_sits_first_and_nobody_overtakes():
    house = Room(seats=1)
    seat = house.room.take()
    first, second = house.wait(), house.wait()
    assert house.kept(first, second) == [1, 2]
    seat.free()
    seat.free()
    assert house.room.place(first).is_ready and not house.room.place(second).is_ready
    assert house.room.count().free == 0
    third = house.wait()
    with pytest.raises(SeatsTaken, match="you are number 2"):
        house.room.take(second)
    house.room.take(first)
    assert house.kept(second, third) == [1, 2]


def test_a_ticket_that_nobody_asks_about_dies_and_the_others_move_up():
    house = Room(seats=1)
    house.room.take()
    first, second = house.wait(), house.wait()
    for _ in range(4):
        house.now += 5
        assert house.room.place(second)
    with pytest.raises(WrongTicket):
        house.room.place(first)
    assert house.kept(second) == [1]


def test_a_free_seat_is_held_for_the_first_and_then_for_the_next():
    house = Room(seats=1)
    seat = house.room.take()
    first, second = house.wait(), house.wait()
    seat.free()
    for _ in range(4):
        house.now += 5
        assert house.room.place(second)
        if house.now < 16:
            assert house.room.place(first).is_ready
    assert house.room.place(second).is_ready
    with pytest.raises(WrongTicket):
        house.room.take(first)
    house.room.take(second)


def test_leaving_lets_the_next_move_up_and_the_queue_has_an_end():
    house = Room(seats=1, queue=2)
    house.room.take()
    first, second = house.wait(), house.wait()
    with pytest.raises(QueueFull, match="2 wait"):
        house.room.take()
    house.room.leave(first)
    house.room.leave("never given out")
    assert house.kept(second) == [1]


class Traffic(RuleBasedStateMachine):
    """Visitors come, wait, give up and go, in any order and at any time."""

    def __init__(self):
        super().__init__()
        self.house = Room(seats=3, queue=5)
        self.seats, self.tickets = [], []

    @rule()
    def come(self):
        try:
            self.seats.append(self.house.room.take())
        except SeatsTaken as taken:
            self.tickets.append(taken.place.ticket)
        except QueueFull:
            assert self.house.room.count().waiting == 5

    @precondition(lambda self: self.seats)
    @rule(data=st.data())
    def go(self, data):
        self.seats.pop(data.draw(st.integers(0, len(self.seats) - 1))).free()

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), takes=st.booleans())
    def ask(self, data, takes):
        ticket = data.draw(st.sampled_from(self.tickets))
        try:
            is_ready = self.house.room.place(ticket).is_ready
            if takes:
                self.seats.append(self.house.room.take(ticket))
                assert is_ready
                self.tickets.remove(ticket)
        except SeatsTaken:
            assert not is_ready
        except WrongTicket:
            self.tickets.remove(ticket)

    @rule(seconds=st.floats(0, 20))
    def pass_time(self, seconds):
        self.house.now += seconds

    @invariant()
    def seats_are_never_given_twice(self):
        seats = self.house.room.count()
        assert len(self.seats) <= seats.all
        assert seats.free == max(seats.all - len(self.seats) - seats.waiting, 0)


Traffic.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
test_traffic = Traffic.TestCase
