from __future__ import annotations

from threading import Barrier, Thread

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streamgen.slot import Slot

PATIENCE_S = 30


def test_the_newest_wins_and_the_older_one_is_counted() -> None:
    slot: Slot[str] = Slot()

    assert slot.put("old") is False
    assert slot.put("new") is True
    assert (slot.take(), slot.take()) == ("new", None)
    assert (slot.given, slot.taken, slot.dropped) == (2, 1, 1)


def test_what_lies_in_a_closed_slot_can_still_be_taken() -> None:
    slot: Slot[int] = Slot()
    slot.put(1)
    slot.close()

    assert not slot.has_ended
    assert (slot.take(), slot.has_ended) == (1, True)
    assert slot.put(2) is True
    assert (slot.take(), slot.dropped) == (None, 1)


def test_the_error_of_the_giver_reaches_the_taker_after_the_last_item() -> None:
    slot: Slot[int] = Slot()
    slot.put(1)
    slot.close(ValueError("unplugged"))
    slot.close()

    assert slot.take() == 1
    for _ in range(2):
        with pytest.raises(ValueError, match="unplugged"):
            slot.take()


def test_iterating_raises_the_error_as_well() -> None:
    slot: Slot[int] = Slot()
    slot.put(1)
    slot.close(ValueError("unplugged"))
    items = iter(slot)

    assert next(items) == 1
    with pytest.raises(ValueError, match="unplugged"):
        next(items)


def test_waiting_ends_in_time_where_nothing_comes() -> None:
    slot: Slot[int] = Slot()

    assert slot.wait(0) is False
    slot.put(1)
    assert slot.wait(0) is True
    assert slot.take() == 1
    slot.close()
    assert slot.wait() is True


def test_things_that_are_false_are_items_too() -> None:
    slot: Slot[int] = Slot()
    slot.put(0)
    slot.close()

    assert list(slot) == [0]


def test_a_taker_that_waits_is_woken_by_an_item_and_by_the_end() -> None:
    slot: Slot[int] = Slot()
    taken: list[int] = []
    both = Barrier(2)

    def take() -> None:
        both.wait(PATIENCE_S)
        taken.extend(slot)

    taker = Thread(target=take)
    taker.start()
    both.wait(PATIENCE_S)
    slot.put(7)
    slot.close()
    taker.join(PATIENCE_S)

    assert taken == [7]


def test_between_two_threads_items_keep_their_order_and_none_is_lost_uncounted() -> None:
    slot: Slot[int] = Slot()
    taken: list[int] = []
    taker = Thread(target=lambda: taken.extend(slot))
    taker.start()

    for number in range(2000):
        slot.put(number)
    slot.close()
    taker.join(PATIENCE_S)

    assert taken == sorted(set(taken)) and taken[-1] == 1999
    assert len(taken) == slot.taken == 2000 - slot.dropped


class SlotModel(RuleBasedStateMachine):
    """A slot beside a plain account of what it should do."""

    def __init__(self) -> None:
        super().__init__()
        self.slot: Slot[int] = Slot()
        self.held: int | None = None
        self.is_closed = False

    @rule(item=st.integers())
    def put(self, item: int) -> None:
        is_dropping = self.is_closed or self.held is not None
        assert self.slot.put(item) is is_dropping
        if not self.is_closed:
            self.held = item

    @rule()
    def take(self) -> None:
        assert self.slot.take() == self.held
        self.held = None

    @rule()
    def close(self) -> None:
        self.slot.close()
        self.is_closed = True

    @invariant()
    def every_item_is_accounted_for(self) -> None:
        held = self.held is not None
        assert self.slot.given == self.slot.taken + self.slot.dropped + held
        assert self.slot.wait(0) is (held or self.is_closed)
        assert self.slot.has_ended is (self.is_closed and not held)


TestSlotModel = SlotModel.TestCase
TestSlotModel.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
