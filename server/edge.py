"""What requests are answered from: the settings, the sessions once they are there, and the phase.

    starting ─▶ ready ─▶ draining        starting ─▶ failed

Knows no route, and neither models nor peers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from server.loras import LorasOnOffer
from server.metrics import Metrics
from server.nouns import (
    Attached,
    Offer,
    Opened,
    Patched,
    Place,
    SeatCount,
    SessionPatch,
    SessionStatus,
    State,
    StreamRow,
    Wish,
)
from server.recorder_writer import RecordingFacts
from server.refusals import Refusal
from server.rights import Passes
from server.settings import Settings
from streamgen.errors import ModelError, StreamgenError
from streamgen.lora.shelf import Shelf
from streamgen.models.vocabulary import Vocabulary, read_vocabulary

Phase = Literal["starting", "ready", "draining", "failed"]


class Sessions(Protocol):
    """What the HTTP interface asks of `server.sessions.Sessions`."""

    async def open(self, offer: Offer, wish: Wish) -> Opened: ...
    async def patch(self, id: str, patch: SessionPatch) -> Patched: ...
    async def status(self, id: str) -> SessionStatus: ...
    async def close(self, id: str, why: str) -> None: ...
    def place(self, ticket: str) -> Place: ...
    def leave(self, ticket: str) -> None: ...
    def seats(self) -> SeatCount: ...
    def states(self) -> Mapping[State, int]: ...
    async def drain(self, in_s: float) -> None: ...
    async def publish(self, offer: Offer, wish: Wish) -> Opened: ...
    async def unpublish(self, name: str, id: str) -> None: ...
    async def attach(self, name: str, offer: Offer, *, may_control: bool) -> Attached: ...
    async def detach(self, name: str, id: str) -> None: ...
    async def trickle(self, name: str, id: str, fragment: str) -> None: ...
    async def patch_stream(self, name: str, patch: SessionPatch) -> Patched: ...
    async def stream_status(self, name: str) -> SessionStatus: ...
    def streams(self) -> Sequence[StreamRow]: ...
    async def record(self, name: str) -> RecordingFacts: ...
    async def end_recording(self, name: str) -> RecordingFacts: ...
    def recording(self, name: str) -> RecordingFacts | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backstage:
    """What runs behind the requests.

    warm_up: ends when the model has drawn its first picture, raises StreamgenError where it cannot.
    restarts: how often the model's process was replaced.
    """

    sessions: Sessions
    warm_up: Callable[[], Awaitable[None]]
    restarts: Callable[[], int] = lambda: 0


class Edge:
    """One server, from its start to its end."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.passes = Passes(settings.token)
        self.loras = LorasOnOffer(Shelf(settings.loras))
        self.phase: Phase = "starting"
        self.failure: StreamgenError | None = None
        #: Set when the server cannot go on, or has been told to stop.
        self.ended = asyncio.Event()
        self.warmed = asyncio.Event()
        self.is_model_alive = False
        self._sessions: Sessions | None = None

    @property
    def sessions(self) -> Sessions:
        """Return the sessions; Refusal while the server is not there for anybody."""
        if self._sessions is None:
            raise Refusal(503, "starting", "The server is starting.", retry_s=2)
        return self._sessions

    @property
    def newcomers(self) -> Sessions:
        """Return the sessions for one more; Refusal where no new one is taken."""
        if self.phase == "draining":
            raise Refusal(503, "draining", "The server is about to stop.", retry_s=30)
        if self.failure is not None:
            raise Refusal(503, "failed", str(self.failure))
        return self.sessions

    def begin(self, sessions: Sessions) -> None:
        """Take visitors, who wait for the model where it is still loading."""
        self._sessions = sessions

    def be_ready(self) -> None:
        """Say that the model has drawn its first picture."""
        if self.phase == "starting":
            self.phase, self.is_model_alive = "ready", True
            self.warmed.set()
            self.metrics.say_ready(True)

    def fail(self, error: StreamgenError) -> None:
        """Give up: the model cannot be had; who stops anyway does not mind."""
        if self.ended.is_set():
            return
        self.phase, self.failure = "failed", error
        self.metrics.say_ready(False)
        self.ended.set()

    async def drain(self) -> None:
        """Take nobody new, tell those who are here, wait for them, and end what is left."""
        if self.phase == "draining":
            return
        self.phase = "draining"
        self.metrics.say_ready(False)
        if self._sessions is not None:
            await self._sessions.drain(self.settings.drain_s)

    def why_not_ready(self) -> Refusal | None:
        """Return why no new session should be sent here; None where one may."""
        if self.failure is not None:
            return Refusal(503, "failed", str(self.failure))
        if self.phase == "starting":
            return Refusal(503, "starting", "The model is being loaded.", retry_s=2)
        if self.phase == "draining":
            return Refusal(503, "draining", "The server is about to stop.", retry_s=30)
        if not self.is_model_alive:
            return Refusal(503, "restarting", "The model is being restarted.", retry_s=5)
        return None

    def understands(self) -> Vocabulary | None:
        """Return what the model says it understands; None where it says nothing."""
        try:
            return read_vocabulary(self.settings.row)
        except ModelError:
            return None
