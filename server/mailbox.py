"""What a peer said and nobody has dealt with yet; knows nothing of what it means.

Messages keep their order and are as many as may wait; what sliders say waits as one, the newest, so
that a slow model never makes them lag.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from server.messages import LIVE, Message, PatchMessage

#: Messages of `control` that may wait.
MOST = 128


class Letter(NamedTuple):
    """A message and the channel that it came by."""

    label: str
    message: Message


class Mailbox:
    """Filled and emptied on one event loop."""

    def __init__(self) -> None:
        self._letters: deque[Letter] = deque()
        self._slider: PatchMessage | None = None
        self._has_some = asyncio.Event()

    def put(self, label: str, message: Message) -> bool:
        """Add a message; False where too many wait already."""
        if label == LIVE and isinstance(message, PatchMessage):
            self._slider = _merged(self._slider, message)
        elif len(self._letters) < MOST:
            self._letters.append(Letter(label, message))
        else:
            return False
        self._has_some.set()
        return True

    async def get(self) -> Letter:
        """Wait for the next message and take it."""
        await self._has_some.wait()
        if self._letters:
            letter = self._letters.popleft()
        else:
            assert self._slider is not None, "it was woken for something"
            letter, self._slider = Letter(LIVE, self._slider), None
        if not self._letters and self._slider is None:
            self._has_some.clear()
        return letter


def _merged(waiting: PatchMessage | None, new: PatchMessage) -> PatchMessage:
    """Return both as one; where one overtook the other on its way, the newer one rules."""
    if waiting is None:
        return new
    older, newer = waiting, new
    if None not in (waiting.sequence, new.sequence) and waiting.sequence > new.sequence:  # type: ignore[operator]  # neither is None
        older, newer = new, waiting
    return newer.model_copy(update={"changes": {**older.changes, **newer.changes}})
