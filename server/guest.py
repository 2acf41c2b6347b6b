"""One connection of a stream's guest: the stream's video out, and what it says where it may.

What it sees is encoded by the stream's audience; knows no other guest and no session.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiortc import MediaStreamTrack

from server.agreement import agree
from server.aiortc_tuning.losses import on_losses
from server.audience import Audience, PacketTrack
from server.mailbox import Letter
from server.messages import CONTROL, LIVE
from server.nouns import Offer, Output
from server.peers import Peer, PeerEvents
from server.rules import SessionRules
from server.talk import Talk, TalkEvents

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestEvents:
    """What a guest asks for, on the event loop.

    deal: with a message, one after the other. output: what is to be shown. over: the guest goes, or
    must, and why; None where its connection is gone. closed: everything of it is gone.
    """

    deal: Callable[[Letter], Awaitable[None]]
    output: Callable[[Output], None]
    over: Callable[[str | None], object]
    closed: Callable[[], None]


class Guest:
    """Whoever makes one closes it."""

    def __init__(
        self,
        events: GuestEvents,
        audience: Audience,
        rules: SessionRules,
        *,
        may_control: bool,
        clock: Callable[[], float],
    ) -> None:
        """may_control: it has the two channels; what else it opens is closed."""
        self.may_control = may_control
        self.born_s = clock()
        self.is_closed = self.is_connected = False
        self._events, self._audience, self._rules = events, audience, rules
        self._track = PacketTrack(ask_for_key=audience.ask_for_key)
        self._talk = Talk(
            TalkEvents(deal=events.deal, output=events.output, over=events.over),
            tell=self.tell,
            clock=clock,
        )
        self._peer = Peer(
            PeerEvents(on_track=_ignore_track, on_message=self._hear, on_state=self._turn),
            self._track,
            direction="sendonly",
            ice_servers=rules.ice_servers(),
            codec="h264",
            labels=(CONTROL, LIVE) if may_control else (),
        )
        on_losses(self._peer.sender, audience.ask_for_key)

    async def answer(self, offer: Offer) -> str:
        """Answer the guest's offer."""
        return await agree(self._peer, offer, self._rules, has_floor=False)

    async def add_candidates(self, fragment: str) -> None:
        """Try these addresses of the guest's, too; BadFragment."""
        await self._peer.add_candidates(fragment)

    def tell(self, message: Mapping[str, object], /) -> bool:
        """Say something to the guest; False where it cannot hear."""
        return self._peer.send(CONTROL, message)

    async def close(self, says: str | None = None) -> None:
        """Close the connection, with last words where there are any; twice is once."""
        if self.is_closed:
            return
        self.is_closed = True
        self._audience.leave(self._track)
        try:
            await self._peer.leave(says, within_s=self._rules.last_words_s)
        finally:
            await self._talk.close()
            self._events.closed()

    def _turn(self, state: str) -> None:
        if self.is_closed:
            return
        if state == "connected" and not self.is_connected:
            # Not before: what is sent to somebody who cannot hear it yet is lost.
            self.is_connected = True
            self._audience.join(self._track)
        elif state in ("failed", "closed"):
            self._events.over(None)

    def _hear(self, label: str, data: str | bytes) -> None:
        if not self.is_closed:
            self._talk.hear(label, data)


def _ignore_track(track: MediaStreamTrack) -> None:
    """Leave what a guest sends: its direction was turned down."""
