"""Streams that share one set of networks: drawn in one batch, each with its newest frame."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from streamgen.channel import Channel
from streamgen.config import StreamConfig
from streamgen.errors import StreamgenError
from streamgen.frame import Frame
from streamgen.metrics import Histogram, LiveClock, Percentiles
from streamgen.models.engines import Engines
from streamgen.pipeline import Answer, Pipeline
from streamgen.rows import Stream

logger = logging.getLogger(__name__)

#: Streams in one batch at most; the others are drawn in the ticks that follow.
MAX_BATCH = 16
#: How fast the remembered time of a frame follows the last one.
FOLLOW = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatus:
    """What is loaded for a `StreamConfig` and how fast it is.

    rejected: the backends that were not taken, and why. frame_ms: of one frame of one stream.
    stages: time of each. age: of pictures when they are done, from the arrival of their frame; None
    before the first.
    """

    config: StreamConfig
    streams: int
    failure: str | None
    backend: str | None
    precision: str | None
    device: str | None
    rejected: tuple[tuple[str, str], ...]
    frame_ms: float
    stages: dict[str, Percentiles]
    age: Percentiles | None


@dataclass(slots=True, kw_only=True, eq=False)
class Group:
    """The streams of one `StreamConfig` and their pipeline, None until it is loaded."""

    config: StreamConfig
    channels: list[Channel] = field(default_factory=list)
    pipeline: Pipeline | None = None
    loading: Future[None] | None = None
    failure: str | None = None
    frame_ms: float = 0.0
    clock: LiveClock = field(default_factory=LiveClock)
    age: Histogram = field(default_factory=Histogram)

    def ready(self, engines: Engines) -> None:
        """Take the networks."""
        self.pipeline = Pipeline(engines, self.clock)

    def waits_since(self) -> int | None:
        """Return since when the stream that has waited longest does, None where none waits."""
        since = [
            each.waiting_since_ns for each in self._live() if each.waiting_since_ns is not None
        ]
        return min(since, default=None)

    def draw(self, now_ns: int) -> None:
        """Draw the newest frame of every stream that has one, the longest waiting first."""
        assert self.pipeline is not None, "only loaded groups are drawn"
        waiting = [each for each in self._live() if each.waiting_since_ns is not None]
        chosen = sorted(waiting, key=lambda each: each.waiting_since_ns or 0)[:MAX_BATCH]
        streams = [_steered(each, now_ns) for each in chosen]
        frames: Sequence[Frame] = [each.collect() for each in chosen]
        before = [stream.gate.skipped for stream in streams]
        began = self.clock.now_ns()
        try:
            answers = self.pipeline.tick(streams, frames, now_ns)
        except StreamgenError as error:
            self._give_up(chosen, error)
            return
        took_ns = self.clock.now_ns() - began
        self._remember(took_ns / 1e6 / len(chosen))
        for answer in answers:
            self.age.record((now_ns + took_ns - answer.frame.stamp.ingest_ns) / 1e6)
        for channel, stream, skipped in zip(chosen, streams, before, strict=True):
            channel.give_up("still", stream.gate.skipped - skipped)
            channel.last_tick_ns = now_ns
        _deliver(chosen, answers)

    def settle(self, now_ns: int, after_ns: int) -> bool:
        """Finish what is under way in streams whose frames stopped coming; tell if any was."""
        assert self.pipeline is not None, "only loaded groups are drawn"
        idle = [
            each
            for each in self._live()
            if each.stream is not None
            and each.stream.rows
            and now_ns - each.last_tick_ns >= after_ns
        ]
        if idle:
            answers = self.pipeline.flush([each.stream for each in idle if each.stream])
            _deliver(idle, answers)
        return bool(idle)

    def status(self) -> GroupStatus:
        """Tell what is loaded and how fast it is."""
        engines = self.pipeline.engines if self.pipeline else None
        return GroupStatus(
            config=self.config,
            streams=len(self.channels),
            failure=self.failure,
            backend=engines.choice.backend.name if engines else None,
            precision=engines.described_precision if engines else None,
            device=engines.choice.device if engines else None,
            rejected=tuple(engines.choice.rejected) if engines else (),
            frame_ms=self.frame_ms,
            stages=self.clock.summary(),
            age=self.age.percentiles(),
        )

    def _live(self) -> list[Channel]:
        return [each for each in list(self.channels) if each.stream is not None]

    def _remember(self, frame_ms: float) -> None:
        follow = FOLLOW if self.frame_ms else 1.0
        self.frame_ms += follow * (frame_ms - self.frame_ms)

    def _give_up(self, channels: Sequence[Channel], error: StreamgenError) -> None:
        """Start the streams of a batch anew that the networks could not draw."""
        logger.warning("%s: a batch of %d failed: %s", self.config.model, len(channels), error)
        for channel in channels:
            channel.give_up("failed", channel.collected - channel.settled)
            if channel.stream is not None:
                channel.stream.reset()


def _steered(channel: Channel, now_ns: int) -> Stream:
    """Return a channel's stream with the revision of this moment in force."""
    assert channel.stream is not None and channel.hub is not None, "only live streams are drawn"
    channel.stream.revision = channel.hub.revision(now_ns)
    return channel.stream


def _deliver(channels: Sequence[Channel], answers: Sequence[Answer]) -> None:
    owners = {channel.stream: channel for channel in channels}
    for answer in answers:
        if answer.stream in owners:
            owners[answer.stream].deliver(answer.frame)
