"""What may be asked of a stream that runs: other controls, other engines; by page or REST.

Patches of one session are made one after the other, in the order in which they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol  # Any: plain data, as JSON has it

from server.hands import Hand, Hands
from server.mailbox import Letter
from server.messages import CONTROL, PatchMessage, SizeMessage, patched, refused
from server.nouns import EngineWish
from server.stream import SessionStream
from streamgen.errors import ConfigError, StreamgenError
from streamgen.sources.geometry import Size

#: Hands of REST whose messages are counted; the hub keeps a number for each.
MAX_HANDS = 64


class Ear(Protocol):
    """One who steers by channels."""

    def tell(self, message: Mapping[str, object], /) -> object:
        """Say something to it alone."""


#: Says something to all who steer but one.
Tell = Callable[[Mapping[str, object], Ear | None], object]


class Steering:
    """Keeps what was asked for last, for when the visitor comes back."""

    def __init__(self, stream: SessionStream, *, tell: Tell) -> None:
        self.controls: Mapping[str, Any] = {}
        self.revision = 0
        self.hands = Hands()
        self._stream, self._tell = stream, tell
        self._lock = asyncio.Lock()
        self._settling: asyncio.Task[None] | None = None
        self._counted: set[str] = set()
        self._unheard: list[Ear] = []

    async def patch(
        self,
        changes: Mapping[str, object],
        *,
        hand: str,
        sequence: int | None = None,
        over_s: float = 0.0,
    ) -> dict[str, Any]:
        """Change controls; ConfigError for what cannot be."""
        async with self._lock:
            answer = await self._stream.patch(changes, hand=hand, sequence=sequence, over_s=over_s)
            self.controls, self.revision = answer["controls"], answer["revision"]
        return answer

    async def patch_by_rest(
        self, changes: Mapping[str, object], *, hand: str, sequence: int | None, over_s: float
    ) -> dict[str, Any]:
        """Change controls, and tell all who steer by channels."""
        if sequence is not None:
            if len(self._counted | {hand}) > MAX_HANDS:
                says = f"hand {hand!r}: {MAX_HANDS} hands count already: use one of them"
                raise ConfigError(says)
            self._counted.add(hand)
        name = f"rest:{hand}"
        answer = await self.patch(changes, hand=name, sequence=sequence, over_s=over_s)
        self.tell_controls()
        return answer

    def tell_controls(self, besides: Ear | None = None) -> None:
        """Tell what another one changed."""
        controls = {"revision": self.revision, "controls": self.controls}
        self._tell({"type": "controls", **controls}, besides)

    def catch_up(self) -> None:
        """Tell what sliders changed since the last time; whoever moved the only one knows."""
        if self._unheard:
            speaker, *others = self._unheard
            self._unheard = []
            self.tell_controls(None if others else speaker)

    def doubt(self, controls: Mapping[str, Any]) -> bool:
        """Take back what did not come into force, and tell all; return whether anything is.

        controls: those that the desk told when it told of a failure.
        """
        is_settling = self._settling is not None and not self._settling.done()
        if is_settling or controls == self.controls:
            return False
        self._settling = asyncio.create_task(self._settle(), name="settle")
        return True

    async def end(self) -> None:
        """Leave nothing behind."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)

    async def deal(self, letter: Letter, hand: Hand, ear: Ear) -> None:
        """Do what somebody said, answer, and let the others know."""
        number = getattr(letter.message, "id", 0)
        try:
            answer = await self._answer(letter, hand, ear)
        except StreamgenError as error:
            answer = refused(number, str(error))
        if answer is not None:
            ear.tell(answer)

    async def change(self, wish: EngineWish) -> None:
        """Have it drawn by other engines, as soon as they can."""
        async with self._lock:
            await self._stream.change(wish)

    async def _settle(self) -> None:
        # Patches wait meanwhile: nobody's newer one is taken back with the one that failed.
        async with self._lock:
            with suppress(StreamgenError):  # closed since
                controls = await self._stream.stays_at()
                if controls is not None:
                    self.controls = controls
                    self.tell_controls()

    async def _answer(self, letter: Letter, hand: Hand, ear: Ear) -> dict[str, object] | None:
        message = letter.message
        if isinstance(message, PatchMessage):
            name, number = hand.counted(letter.label, message.sequence)
            answer = await self.patch(
                message.changes, hand=name, sequence=number, over_s=message.over_s
            )
            if letter.label == CONTROL:
                if not answer["is_stale"]:
                    self.tell_controls(ear)
                return patched(message.id, answer)
            if ear not in self._unheard:
                self._unheard.append(ear)
            return None
        assert isinstance(message, SizeMessage), "the others were answered before"
        await self.change(EngineWish(size=Size(width=message.width, height=message.height)))
        size = {"width": message.width, "height": message.height}
        return {"type": "size", "id": message.id, **size}
