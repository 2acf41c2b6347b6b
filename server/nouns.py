"""What the HTTP edge and the sessions say to each other: plain data and what can go wrong.

Knows no HTTP, no WebRTC and no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal  # Any: controls as plain data, as JSON has it

from streamgen.errors import StreamgenError
from streamgen.sources.geometry import Size

#: What the viewer sees: the redrawn picture, the own one, the last one held still, or nothing.
Output = Literal["live", "bypass", "freeze", "black"]
#: How a session is: waiting for its model, drawing, idle, model being replaced, broken, peer gone.
State = Literal["loading", "running", "resting", "restarting", "failed", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A peer's description of itself; its length and lines were checked before."""

    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a visitor would like to have.

    controls: over the model's defaults, or over those that `resume` brings back. size: None for the
    server's own. resume: token of an earlier session. ticket: of the waiting room. mirror: the
    picture is flipped left to right before it is drawn. name: of the stream, None for any.
    """

    controls: Mapping[str, object] = field(default_factory=dict)
    size: Size | None = None
    resume: str | None = None
    ticket: str | None = None
    mirror: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWish:
    """What shall draw a stream; None leaves a part as it is."""

    size: Size | None = None
    backend: str | None = None
    precision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """What will draw a stream as soon as it is built.

    stage: of `engines.progress`. message: of which network. failure: why it will not come.
    """

    backend: str
    precision: str
    stage: str
    message: str = ""
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """What draws a stream; None: backend and precision until it is loaded, no motion adapter."""

    model: str
    width: int
    height: int
    backend: str | None = None
    precision: str | None = None
    motion: str | None = None
    upcoming: Upcoming | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session that has begun; sdp: the answer. resume: the secret that brings it back.

    peer: this connection's id, another one whenever somebody enters. name: of its stream.
    """

    id: str
    peer: str
    sdp: str
    resume: str
    name: str
    controls: Mapping[str, Any]
    revision: int
    output: Output
    stream: StreamFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A guest that was let in to a stream; id: the guest's. sdp: the answer to its offer."""

    id: str
    sdp: str
    name: str
    controls: Mapping[str, Any]
    revision: int
    output: Output
    stream: StreamFacts
    may_control: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPatch:
    """Changes to a running session; None leaves a part as it is.

    controls: merge-patch, in which None means the default. sequence: rises with every message of a
    hand. engine: the old one goes on until the new one can draw.
    """

    controls: Mapping[str, object] | None = None
    over_s: float = 0.0
    sequence: int | None = None
    hand: str = "api"
    output: Output | None = None
    engine: EngineWish | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched:
    """What became of a patch; is_stale: the same hand had said something newer."""

    revision: int
    is_stale: bool
    controls: Mapping[str, Any]
    output: Output
    stream: StreamFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """How a session is doing.

    says: one sentence for people, empty where all is well. dropped: frames by reason; skipped:
    those that looked like the one before. stages_ms: queue, model, encode of a late frame.
    streams: drawn together with this one. name: of its stream. viewers: its guests.
    """

    id: str
    name: str
    state: State
    says: str
    fps: float
    frame_ms: float
    dropped: Mapping[str, int]
    skipped: int
    stages_ms: Mapping[str, float]
    stream: StreamFacts
    revision: int
    output: Output
    streams: int
    controls: Mapping[str, Any]
    viewers: int
    is_recording: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRow:
    """One stream in a list of all."""

    name: str
    state: State
    viewers: int
    is_recording: bool
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatCount:
    """Seats in all, those that a newcomer could take now, and how many wait for one."""

    all: int
    free: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a ticket stands: 1 is the next. is_ready: a seat is held for it now."""

    ticket: str
    position: int
    is_ready: bool
    retry_s: float


class SessionError(StreamgenError):
    """A session cannot be opened or changed; the message is for the visitor."""


class SeatsTaken(SessionError):
    """All seats are taken; `place` says where the visitor stands."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"all seats are taken: you are number {place.position} in the queue")
        self.place = place


class QueueFull(SessionError):
    """All seats are taken and as many wait as may, or a stream has as many guests as it may."""


class WrongTicket(SessionError):
    """A ticket that was never given out, or was not asked about for too long."""


class UnknownSession(SessionError):
    """No session has this id, or it has ended."""


class UnknownResume(SessionError):
    """A resume token that was never given out, or is too old."""


class OfferRefused(SessionError):
    """An offer that cannot be answered; the message says what it lacks."""


class NegotiationTimedOut(SessionError):
    """The connection could not be agreed on in time."""


class Draining(SessionError):
    """The server is about to stop and takes nobody new."""


class BadName(SessionError):
    """What is asked for cannot be the name of a stream."""


class NameTaken(SessionError):
    """Another session has a stream of this name."""


class UnknownStream(SessionError):
    """No stream has this name, or it has ended."""


class BadFragment(SessionError):
    """Candidates of a peer that cannot be added to its connection."""
