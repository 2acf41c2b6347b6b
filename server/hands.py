"""The hands of those who steer by channels: names that controls are counted by, used again.

Whoever orders the controls keeps a number for every hand for as long as a stream lasts. So a hand
that is free again goes to the next one who comes, whose numbers are counted on from there.
"""

from __future__ import annotations


class Hand:
    """Of one who steers; whoever takes one frees it."""

    def __init__(self, hands: Hands, slot: int) -> None:
        self.slot = slot
        self._hands = hands
        self._starts: dict[str, int] = {}
        self._is_free = False

    def counted(self, label: str, sequence: int | None) -> tuple[str, int | None]:
        """Return the name of the hand on this channel, and the number as it is counted there."""
        name = f"{label}:{self.slot}"
        if sequence is None or self._is_free:
            return name, None
        start = self._starts.setdefault(name, self._hands.next_of(name))
        self._hands.note(name, start + sequence)
        return name, start + sequence

    def free(self) -> None:
        """Let another one have it; the second time changes nothing."""
        if not self._is_free:
            self._is_free = True
            self._hands.give_back(self.slot)


class Hands:
    """As many as steer at the same time."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._highest: dict[str, int] = {}

    def take(self) -> Hand:
        """Return one that nobody has."""
        slot = next(each for each in range(len(self._taken) + 1) if each not in self._taken)
        self._taken.add(slot)
        return Hand(self, slot)

    def give_back(self, slot: int) -> None:
        """Have one free again."""
        self._taken.discard(slot)

    def note(self, name: str, number: int) -> None:
        """Note that a number was used."""
        self._highest[name] = max(self._highest.get(name, -1), number)

    def next_of(self, name: str) -> int:
        """Return the first number that is newer than all before."""
        return self._highest.get(name, -1) + 1
