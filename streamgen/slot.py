"""A mailbox for one thing between two threads, where the newest wins; knows no frames."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Holds one item at most: who puts never waits, who takes gets the newest.

    Either side may close it. What lies in it then can still be taken; after that it has ended,
    and where it was closed with an error, taking raises that.
    given, taken, dropped: items so far; given = taken + dropped + the one in it.
    """

    def __init__(self) -> None:
        self.given = 0
        self.taken = 0
        self.dropped = 0
        self._items: list[T] = []
        self._is_closed = False
        self._error: BaseException | None = None
        self._changed = Condition()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be put into it."""
        return self._is_closed

    @property
    def has_ended(self) -> bool:
        """Whether it is closed and nothing is left to be taken."""
        with self._changed:
            return self._is_closed and not self._items

    def put(self, item: T) -> bool:
        """Put an item in; return whether one was dropped: the older, or this one if closed."""
        with self._changed:
            self.given += 1
            if self._is_closed:
                self.dropped += 1
                return True
            is_overwritten = bool(self._items)
            self.dropped += is_overwritten
            self._items = [item]
            self._changed.notify_all()
        return is_overwritten

    def take(self) -> T | None:
        """Take the item, None where there is none; never waits. Raise the error it ended with."""
        with self._changed:
            if self._items:
                self.taken += 1
                return self._items.pop()
            if self._error is not None:
                raise self._error
        return None

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for an item or the end; return False where neither came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._items) or self._is_closed, timeout_s)

    def close(self, error: BaseException | None = None) -> None:
        """End it; a second time changes nothing."""
        with self._changed:
            if not self._is_closed:
                self._is_closed, self._error = True, error
                self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Take one item after the other, waiting for each, until it has ended."""
        while True:
            self.wait()
            item = self.take()
            if item is None and self.has_ended:
                return
            if item is not None:
                yield item
