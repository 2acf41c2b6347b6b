"""What is asked of sessions by the names of their streams: guests, controls, recordings.

Who may ask was settled before.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

from server.nouns import (
    Attached,
    Draining,
    Offer,
    Patched,
    SessionPatch,
    SessionStatus,
    State,
    StreamRow,
    UnknownSession,
)
from server.poll import Poll
from server.recorder_writer import RecordingFacts
from server.rules import SessionRules
from server.session import Session
from server.table import Table


class Streams:
    """The sessions at a table, as streams; whatever is asked of one raises UnknownStream."""

    def __init__(self, table: Table, poll: Poll, rules: SessionRules) -> None:
        self.is_draining = False
        self._table, self._poll, self._rules = table, poll, rules

    async def attach(self, name: str, offer: Offer, *, may_control: bool) -> Attached:
        """Let a guest in, who sees the stream; may_control: and has its two channels.

        Raises QueueFull, OfferRefused, NegotiationTimedOut, Draining.
        """
        self._check_open()
        session = self._table.named(name)
        id, answer = await session.company.guests.let_in(offer, may_control=may_control)
        return Attached(
            id=id,
            sdp=answer,
            name=session.name,
            controls=session.steering.controls,
            revision=session.steering.revision,
            output=session.output,
            stream=session.stream.facts(self._poll.last()),
            may_control=may_control,
        )

    async def detach(self, name: str, id: str) -> None:
        """Let a guest go; UnknownSession."""
        await self._table.named(name).company.guests.let_go(id, "ended by its page")

    async def unpublish(self, name: str, id: str) -> None:
        """End a stream for the connection that it comes by; UnknownSession for earlier ones."""
        session = self._table.named(name)
        if id != session.owner.peer:
            raise UnknownSession("there is no such session, or it has ended")
        if (ending := self._table.end(session, "ended by its publisher")) is not None:
            await asyncio.shield(ending)

    async def trickle(self, name: str, id: str, fragment: str) -> None:
        """Add addresses of a guest's, or of the session's own peer; UnknownSession, BadFragment."""
        session = self._table.named(name)
        if id == session.owner.peer:
            await session.owner.add_candidates(fragment)
        else:
            await session.company.guests.add_candidates(id, fragment)

    async def patch_stream(self, name: str, patch: SessionPatch) -> Patched:
        """Change what is named, and tell all who steer; nothing where a part cannot be."""
        return await self._patch(self._table.named(name), patch)

    async def stream_status(self, name: str) -> SessionStatus:
        """Tell how a stream is doing."""
        session = self._table.named(name)
        return session.status(await self._poll.fresh(session.stream.names))

    def streams(self) -> list[StreamRow]:
        """List them, the newest last."""
        last = self._poll.last()
        return [_row(session.status(last)) for session in self._table]

    def states(self) -> Mapping[State, int]:
        """Count the sessions by state."""
        last = self._poll.last()
        return Counter(session.status(last).state for session in self._table)

    async def record(self, name: str) -> RecordingFacts:
        """Record a stream, or tell how that is doing; RecordingOff where nothing is recorded."""
        return await self._table.named(name).company.record()

    async def end_recording(self, name: str) -> RecordingFacts:
        """End a stream's recording; UnknownSession where there is none."""
        return await self._table.named(name).company.end_recording()

    def recording(self, name: str) -> RecordingFacts | None:
        """Tell how a stream's newest recording is doing; None where there is none."""
        return self._table.named(name).company.recording

    def _check_open(self) -> None:
        if self.is_draining:
            raise Draining("the server is about to stop: come back in a minute")

    async def _patch(self, session: Session, patch: SessionPatch) -> Patched:
        if patch.engine is not None:
            self._rules.changed(session.stream.wanted, patch.engine)
        steering, is_stale = session.steering, False
        if patch.controls is not None:
            answer = await steering.patch_by_rest(
                patch.controls, hand=patch.hand, sequence=patch.sequence, over_s=patch.over_s
            )
            is_stale = answer["is_stale"]
        if patch.output is not None:
            session.show_output(patch.output)
            session.tell({"type": "output", "id": 0, "mode": patch.output})
        if patch.engine is not None:
            await steering.change(patch.engine)
        return Patched(
            revision=steering.revision,
            is_stale=is_stale,
            controls=steering.controls,
            output=session.output,
            stream=session.stream.facts(self._poll.last()),
        )


def _row(status: SessionStatus) -> StreamRow:
    return StreamRow(
        name=status.name,
        state=status.state,
        viewers=status.viewers,
        is_recording=status.is_recording,
        says=status.says,
    )
