"""Asks the desk how streams are doing without ever being held up by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from server.desk import Desk, Snapshot
from streamgen.errors import StreamgenError

#: An answer that is older says nothing about now: the drawing process hangs, or is replaced.
OLD_S = 2.5
_NOTHING = Snapshot(groups=(), streams={})


class Poll:
    """One question at a time; a desk that does not answer is asked no second time meanwhile."""

    def __init__(self, desk: Desk, clock: Callable[[], float]) -> None:
        self._desk, self._clock = desk, clock
        self._asked: asyncio.Task[None] | None = None
        self._asked_s = 0.0
        self._snapshot = _NOTHING

    def last(self) -> Snapshot:
        """Return what was told last; of streams nothing, where that is too old."""
        is_waiting = self._asked is not None and not self._asked.done()
        if is_waiting and self._clock() - self._asked_s > OLD_S:
            return replace(self._snapshot, streams={})
        return self._snapshot

    def ask(self, names: Sequence[str]) -> Snapshot:
        """Ask anew, unless an answer is awaited, and return what was told before."""
        if self._asked is None or self._asked.done():
            self._asked_s = self._clock()
            self._asked = asyncio.create_task(self._look(list(names)), name="poll")
        return self.last()

    async def fresh(self, names: Sequence[str]) -> Snapshot:
        """Return what is told now, or before where no answer comes in time."""
        self.ask([*self._snapshot.streams, *names])
        assert self._asked is not None, "it was just asked"
        await asyncio.wait([self._asked], timeout=OLD_S)
        return self.last()

    async def end(self) -> None:
        """Wait for the last answer."""
        if self._asked is not None:
            await asyncio.gather(self._asked, return_exceptions=True)

    async def _look(self, names: Sequence[str]) -> None:
        try:
            self._snapshot = await self._desk.snapshot(names)
        except StreamgenError:
            self._snapshot = replace(self._snapshot, streams={})
