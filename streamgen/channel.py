"""One stream at a worker: its inbox and outbox, its hub, and what became of every frame."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Literal

from engines.errors import EngineError
from streamgen.control_schema import controls_from
from streamgen.early import EarlyPatches, retold
from streamgen.errors import ConfigError, StreamgenError
from streamgen.frame import Frame
from streamgen.hub import ControlHub, Patched
from streamgen.rows import Stream

if TYPE_CHECKING:
    from streamgen.group import Group
    from streamgen.pipeline import Pipeline

State = Literal["loading", "live", "failed", "closed"]
#: Why an accepted frame was not shown.
#: overtaken: a newer one came before its turn. still: the gate skipped it. unseen: its picture was
#: replaced by a newer one before anybody took it. failed: the networks did. closed: the stream was.
Reason = Literal["overtaken", "still", "unseen", "failed", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """How a stream is doing; accepted = shown + the sum of dropped + under_way.

    state: loading until its model is there. dropped: by reason. controls: what was asked for last;
    control_failure: why that did not come into force. revision: number of the one in force.
    """

    name: str
    state: State
    failure: str | None
    accepted: int
    shown: int
    dropped: Mapping[str, int]
    under_way: int
    revision: int
    controls: Mapping[str, object]
    control_failure: str | None


@dataclass(slots=True, kw_only=True, eq=False)
class Channel:
    """What a worker keeps of one stream; hands and the loop meet at its two slots.

    given: the controls that were asked for when it was opened. early: what was asked for since,
    until there is a hub. refusal: what of that the model cannot do. outbox: pictures of one tick,
    oldest first; there are several where frames under way come to their end together.
    is_finishing: no frame of it stays under way from one tick to the next. alone: batches that it
    is still to be drawn in by itself, since one failed that it was in.
    """

    name: str
    group: Group
    given: Mapping[str, object]
    early: EarlyPatches
    refusal: str | None = None
    hub: ControlHub | None = None
    stream: Stream | None = None
    failure: str | None = None
    is_closed: bool = False
    is_finishing: bool = False
    alone: int = 0
    inbox: Frame | None = None
    outbox: deque[Frame] = field(default_factory=deque)
    waiting_since_ns: int | None = None
    last_tick_ns: int = 0
    accepted: int = 0
    collected: int = 0
    settled: int = 0
    taken: int = 0
    dropped: Counter[Reason] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def begin(self, executor: Executor | None) -> None:
        """Open the stream, once the group has its networks; a failure is kept for the status."""
        pipeline = self.group.pipeline
        if pipeline is None:
            self.failure = self.group.failure
            return
        try:
            stream = self._opened(pipeline)
        except (StreamgenError, EngineError) as error:
            self.failure = str(error)
            return
        reviser = pipeline.reviser()
        hub = ControlHub(stream.revision, revise=reviser.revise, check=reviser.check)
        while self.hub is None:
            with self.lock:
                said = self.early.take()
                if not said:
                    hub.executor = executor
                    self.hub, self.stream = hub, stream
            # Read at once and without the lock: the first frame is drawn with it.
            self.refusal = retold(said, hub) or self.refusal

    def _opened(self, pipeline: Pipeline) -> Stream:
        """Open the stream; without the LoRAs that cannot be had any more, and saying so."""
        controls = controls_from(self.given, defaults=pipeline.engines.model.row.controls)
        try:
            return pipeline.open_stream(self.name, controls)
        except (StreamgenError, EngineError) as error:
            if not controls.loras:
                raise
            self.refusal = str(error)
        sound = pipeline.loras.sound(controls.loras) if pipeline.loras else ()
        if sound and sound != controls.loras:
            with suppress(StreamgenError, EngineError):
                some = controls.model_copy(update={"loras": sound})
                return pipeline.open_stream(self.name, some)
        return pipeline.open_stream(self.name, controls.model_copy(update={"loras": ()}))

    def patch(
        self, changes: Mapping[str, object], *, hand: str, sequence: int | None, over_s: float
    ) -> Patched:
        """Change the controls, as `ControlHub.patch` does, whether the model is there or not."""
        with self.lock:
            if self.failure is not None:
                raise ConfigError(f"controls {sorted(changes)}: this stream failed: {self.failure}")
            if self.hub is None:
                return self.early.patch(changes, hand=hand, sequence=sequence, over_s=over_s)
        patched = self.hub.patch(changes, hand=hand, sequence=sequence, over_s=over_s)
        self.refusal = None
        return patched

    def offer(self, frame: Frame, passed: int = 0) -> None:
        """Put a frame into the inbox, in place of one that still waits there."""
        with self.lock:
            self.accepted += 1 + passed
            self.dropped["overtaken"] += passed
            if self.is_closed or self.failure is not None:
                self.dropped["closed" if self.is_closed else "failed"] += 1
                return
            if self.inbox is not None:
                self.dropped["overtaken"] += 1
            self.inbox = frame
            if self.waiting_since_ns is None:
                self.waiting_since_ns = frame.stamp.ingest_ns

    def collect(self) -> Frame:
        """Take the frame that waits, for drawing."""
        with self.lock:
            frame, self.inbox, self.waiting_since_ns = self.inbox, None, None
            self.collected += 1
        assert frame is not None, "only streams that wait are drawn"
        return frame

    def deliver(self, frames: Sequence[Frame]) -> None:
        """Put the pictures of a tick into the outbox, in place of those that nobody took."""
        with self.lock:
            if self.is_closed:
                return
            self.settled += len(frames)
            self.dropped["unseen"] += len(self.outbox)
            self.outbox = deque(frames)

    def give_up(self, reason: Reason, frames: int) -> None:
        """Book frames that were collected and will never be shown."""
        with self.lock:
            if not self.is_closed:
                self.settled += frames
                self.dropped[reason] += frames

    def shown(self) -> Frame | None:
        """Take the next picture of the newest tick."""
        with self.lock:
            frame = self.outbox.popleft() if self.outbox else None
            self.taken += frame is not None
            return frame

    def close(self) -> StreamStatus:
        """Drop all that is under way; what the device still draws is dropped when it comes."""
        if self.hub is not None:
            self.hub.close()
        with self.lock:
            self.is_closed = True
            self.dropped["closed"] += self._under_way()
            self.inbox = self.waiting_since_ns = None
            self.outbox.clear()
            self.settled = self.collected
        return self.status()

    def status(self) -> StreamStatus:
        """Tell how it is doing."""
        hub = self.hub
        controls = (hub or self.early).target().model_dump(mode="json")
        with self.lock:
            return StreamStatus(
                name=self.name,
                state=self._state(),
                failure=self.failure,
                accepted=self.accepted,
                shown=self.taken,
                dropped={str(reason): count for reason, count in self.dropped.items() if count},
                under_way=self._under_way(),
                revision=self.stream.revision.number if self.stream else 0,
                controls=controls,
                control_failure=hub.failure() or self.refusal if hub else None,
            )

    def _under_way(self) -> int:
        return (self.inbox is not None) + len(self.outbox) + self.collected - self.settled

    def _state(self) -> State:
        if self.is_closed:
            return "closed"
        if self.failure is not None:
            return "failed"
        return "live" if self.stream is not None else "loading"
