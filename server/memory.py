"""What is remembered of sessions that ended, by their resume token; bounded in time and number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.nouns import Output, UnknownResume
from streamgen.sources.geometry import Size

#: Sessions that are remembered; the one that ended first makes room.
MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What comes back when a visitor does."""

    controls: Mapping[str, object]
    output: Output
    size: Size


class Memory:
    """Remembers for `keep_s` seconds."""

    def __init__(self, *, keep_s: float, clock: Callable[[], float]) -> None:
        self._keep_s, self._clock = keep_s, clock
        self._kept: OrderedDict[str, tuple[float, Remembered]] = OrderedDict()

    def keep(self, token: str, remembered: Remembered) -> None:
        """Remember a session from now on."""
        self._kept[token] = (self._clock(), remembered)
        self._kept.move_to_end(token)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def recall(self, token: str) -> Remembered:
        """Return what is remembered; UnknownResume where nothing is."""
        remembered = self.find(token)
        if remembered is None:
            raise UnknownResume("this session is not remembered any more: start a new one")
        return remembered

    def find(self, token: str) -> Remembered | None:
        """Return what is remembered, if anything."""
        self._forget()
        return self._kept[token][1] if token in self._kept else None

    def _forget(self) -> None:
        now = self._clock()
        while self._kept and now - next(iter(self._kept.values()))[0] > self._keep_s:
            self._kept.popitem(last=False)
