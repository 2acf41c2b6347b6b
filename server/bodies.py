"""How plain data of the sessions becomes JSON and back, for sessions and for streams alike."""

from __future__ import annotations

from dataclasses import asdict
from typing import TypeVar

from server.about import control_bodies
from server.edge import Edge
from server.nouns import (
    Attached,
    EngineWish,
    Opened,
    Patched,
    SessionPatch,
    SessionStatus,
    StreamFacts,
)
from server.wire import JoinedBody, PatchBody, PatchedBody, SizeBody, StatusBody, StreamBody
from streamgen.sources.geometry import Size

Joined = TypeVar("Joined", bound=JoinedBody)


def patch_of(body: PatchBody) -> SessionPatch:
    """Return the changes that a body asks for."""
    return SessionPatch(
        controls=body.controls,
        over_s=body.over_s,
        sequence=body.sequence,
        hand=body.hand,
        output=body.output,
        engine=_engine(body),
    )


def size_of(body: SizeBody | None) -> Size | None:
    """Return the size that a body asks for; None where it asks for none."""
    return None if body is None else Size(width=body.width, height=body.height)


def joined_body(edge: Edge, told: Opened | Attached, kind: type[Joined]) -> Joined:
    """Return what somebody is told who has come: what the body has a field for, and the schema."""
    known = {name: getattr(told, name) for name in kind.model_fields if hasattr(told, name)}
    return kind(
        **{**known, "stream": stream_body(told.stream)},
        specs=control_bodies(edge),
        understands=edge.understands(),
    )


def patched_body(patched: Patched) -> PatchedBody:
    """Return what became of a patch as JSON has it."""
    return PatchedBody(
        revision=patched.revision,
        stale=patched.is_stale,
        controls=dict(patched.controls),
        output=patched.output,
        stream=stream_body(patched.stream),
    )


def status_body(status: SessionStatus) -> StatusBody:
    """Return how a session is doing as JSON has it."""
    return StatusBody(**{**asdict(status), "stream": stream_body(status.stream)})


def stream_body(facts: StreamFacts) -> StreamBody:
    """Return what draws as JSON has it."""
    return StreamBody(**asdict(facts))


def _engine(body: PatchBody) -> EngineWish | None:
    if body.engine is None:
        return None if body.size is None else EngineWish(size=size_of(body.size))
    asked = body.engine
    size = size_of(asked.size or body.size)
    return EngineWish(size=size, backend=asked.backend, precision=asked.precision)
