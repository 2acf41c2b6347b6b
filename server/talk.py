"""What a peer says by its channels, read, answered where that is simple, and dealt with in order.

Knows no connection and no session, and of controls only that somebody deals with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from server.mailbox import Letter, Mailbox
from server.messages import (
    BadMessage,
    ByeMessage,
    OutputMessage,
    PingMessage,
    Reader,
    TooManyBad,
    refused,
)
from server.nouns import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkEvents:
    """What comes of it, on the event loop.

    deal: with a message, one after the other. output: what is to be shown. over: the peer goes, or
    must, and why.
    """

    deal: Callable[[Letter], Awaitable[None]]
    output: Callable[[Output], None]
    over: Callable[[str], object]


class Talk:
    """Whoever begins one closes it. Made on the loop."""

    def __init__(
        self,
        events: TalkEvents,
        *,
        tell: Callable[[Mapping[str, object]], object],
        clock: Callable[[], float],
    ) -> None:
        """tell: says something to the peer."""
        self.heard_s = clock()
        self._events, self._tell, self._clock = events, tell, clock
        self._reader = Reader(clock)
        self._mailbox = Mailbox()
        self._dealing = asyncio.create_task(self._deal(), name="deal")

    def hear(self, label: str, data: str | bytes) -> None:
        """Take a message; called inside of aiortc, which must not see an error."""
        try:
            message = self._reader.read(label, data)
        except BadMessage as error:
            self._tell(refused(error.id, str(error)))
            return
        except TooManyBad as error:
            self._events.over(str(error))
            return
        self.heard_s = self._clock()
        if isinstance(message, PingMessage):
            self._tell({"type": "pong", "t": message.t})
        elif isinstance(message, OutputMessage):
            # Overtakes what waits for the model: whoever wants out of a picture wants it now.
            self._events.output(message.mode)
            self._tell({"type": "output", "id": message.id, "mode": message.mode})
        elif isinstance(message, ByeMessage):
            self._events.over("the page said goodbye")
        elif not self._mailbox.put(label, message):
            self._tell(refused(message.id, "too many messages wait: slow down"))

    async def close(self) -> None:
        """Leave what was not dealt with yet."""
        self._dealing.cancel()
        await asyncio.gather(self._dealing, return_exceptions=True)

    async def _deal(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                await self._events.deal(await self._mailbox.get())
