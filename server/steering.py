"""What may be asked of a stream that runs: other controls, other engines; by page or REST.

Patches of one session are made one after the other, in the order in which they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any  # plain data, as JSON has it

from server.mailbox import Letter
from server.messages import CONTROL, PatchMessage, SizeMessage, patched, refused
from server.nouns import EngineWish
from server.stream import SessionStream
from streamgen.errors import ConfigError, StreamgenError
from streamgen.sources.geometry import Size

#: Hands whose messages are counted; the hub keeps a number for each.
MAX_HANDS = 64

Tell = Callable[[Mapping[str, object]], object]


class Steering:
    """Keeps what was asked for last, for when the visitor comes back."""

    def __init__(self, stream: SessionStream, *, tell: Tell) -> None:
        """tell: says something to the page, if it is there."""
        self.controls: Mapping[str, Any] = {}
        self.revision = 0
        self._stream, self._tell = stream, tell
        self._lock = asyncio.Lock()
        self._hands: set[str] = set()

    async def patch(
        self,
        changes: Mapping[str, object],
        *,
        hand: str,
        sequence: int | None = None,
        over_s: float = 0.0,
    ) -> dict[str, Any]:
        """Change controls; ConfigError for what cannot be."""
        if sequence is not None and len(self._hands | {hand}) > MAX_HANDS:
            raise ConfigError(f"hand {hand!r}: {MAX_HANDS} hands count already: use one of them")
        async with self._lock:
            if sequence is not None:
                self._hands.add(hand)
            answer = await self._stream.patch(changes, hand=hand, sequence=sequence, over_s=over_s)
            self.controls, self.revision = answer["controls"], answer["revision"]
        return answer

    def tell_controls(self) -> None:
        """Tell the page what another hand changed."""
        controls = {"revision": self.revision, "controls": self.controls}
        self._tell({"type": "controls", **controls})

    async def deal(self, letter: Letter, hand: str) -> None:
        """Do what the page said and answer it; hand: of this channel in this visit."""
        message = letter.message
        number = getattr(message, "id", 0)
        try:
            answer = await self._answer(letter, hand)
        except StreamgenError as error:
            answer = refused(number, str(error))
        if answer is not None:
            self._tell(answer)

    async def change(self, wish: EngineWish) -> None:
        """Have it drawn by other engines, as soon as they can."""
        async with self._lock:
            await self._stream.change(wish)

    async def _answer(self, letter: Letter, hand: str) -> dict[str, object] | None:
        message = letter.message
        if isinstance(message, PatchMessage):
            answer = await self.patch(
                message.changes, hand=hand, sequence=message.sequence, over_s=message.over_s
            )
            return patched(message.id, answer) if letter.label == CONTROL else None
        assert isinstance(message, SizeMessage), "the visit dealt with the others"
        await self.change(EngineWish(size=Size(width=message.width, height=message.height)))
        size = {"width": message.width, "height": message.height}
        return {"type": "size", "id": message.id, **size}
