"""Streams that share one set of networks: drawn in one batch, each with its newest frame."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from streamgen.channel import Channel
from streamgen.config import StreamConfig
from streamgen.errors import StreamgenError
from streamgen.frame import Frame
from streamgen.metrics import Histogram, LiveClock, Percentiles
from streamgen.models.engines import Engines
from streamgen.models.upcoming import Upcoming, UpcomingStatus
from streamgen.pipeline import Answer, Pipeline
from streamgen.rows import Stream

logger = logging.getLogger(__name__)

#: Streams in one batch at most; the others are drawn in the ticks that follow.
MAX_BATCH = 16
#: Batches that a stream is drawn in by itself after one that failed: who fails every time, as with
#: LoRAs that are too much for the precision, shall take no other stream along.
ALONE = 25
#: How fast the remembered time of a frame follows the last one.
FOLLOW = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatus:
    """What is loaded for a `StreamConfig` and how fast it is.

    rejected: the backends that were not taken, and why. motion: what was chosen for motion modules,
    in words, None without. upcoming: what will draw as soon as it is built, None where nothing is
    to come. frame_ms: of one frame of one stream. stages: time of each. age: of pictures when they
    are done, from the arrival of their frame; None before the first.
    """

    config: StreamConfig
    streams: int
    failure: str | None
    backend: str | None
    precision: str | None
    device: str | None
    rejected: tuple[tuple[str, str], ...]
    motion: str | None
    upcoming: UpcomingStatus | None
    frame_ms: float
    stages: dict[str, Percentiles]
    age: Percentiles | None


@dataclass(slots=True, kw_only=True, eq=False)
class Group:
    """The streams of one `StreamConfig` and their pipeline, None until it is loaded."""

    config: StreamConfig
    channels: list[Channel] = field(default_factory=list)
    pipeline: Pipeline | None = None
    upcoming: Upcoming | None = None
    loading: Future[None] | None = None
    failure: str | None = None
    frame_ms: float = 0.0
    clock: LiveClock = field(default_factory=LiveClock)
    age: Histogram = field(default_factory=Histogram)

    def ready(self, engines: Engines) -> None:
        """Take the networks."""
        self.pipeline, self.upcoming = Pipeline(engines, self.clock), engines.upcoming

    def build_upcoming(self, wake: Callable[[], None]) -> None:
        """Begin to build what shall draw in their place; wake: told when that is there."""
        if self.upcoming is not None:
            self.upcoming.begin(wake)

    def look_up(self) -> None:
        """Go over to better engines where they are built; between two ticks, by who ticks."""
        if self.upcoming is not None and (engines := self._built()) is not None:
            self.take_over(engines)

    def _built(self) -> Engines | None:
        """Return the engines that are built, once they can draw what streams are drawn with."""
        assert self.upcoming is not None and self.pipeline is not None, "who waits draws"
        book = self.pipeline.loras
        return self.upcoming.take(book.in_use() if book else ())

    def take_over(self, engines: Engines) -> None:
        """Draw with other engines of this model, size and device; what is under way goes on.

        Between two ticks, by who ticks. The engines before are closed.
        """
        assert self.pipeline is not None, "others were there before"
        before, after = self.pipeline, Pipeline(engines, self.clock)
        # The hubs of the streams read their sentences, and find their LoRAs, by these books.
        after.prompts, after.loras = before.prompts, before.loras
        after.prompts.encode = engines.text
        if after.loras is not None:
            after.loras.prepare = engines.weights.prepare
        self.pipeline, self.upcoming = after, engines.upcoming
        self.frame_ms = 0.0
        self.clock.clear()
        before.engines.close()
        names = [each.choice.backend.name for each in (engines, before.engines)]
        logger.info("%s %s: %s takes over from %s", self.config.model, self.size, *names)

    def close(self) -> None:
        """Give the networks back; nobody has a stream here any more. By who ticks."""
        if self.upcoming is not None:
            self.upcoming.cancel()
        if self.pipeline is not None:
            self.pipeline.engines.close()
        logger.info("%s %s: closed, nobody uses it", self.config.model, self.size)

    @property
    def size(self) -> str:
        """Of its pictures."""
        return f"{self.config.width}x{self.config.height}"

    def waits_since(self) -> int | None:
        """Return since when the stream that has waited longest does, None where none waits."""
        since = [
            each.waiting_since_ns for each in self._live() if each.waiting_since_ns is not None
        ]
        return min(since, default=None)

    def draw(self, now_ns: int) -> None:
        """Draw the newest frame of every stream that has one, the longest waiting first."""
        waiting = [each for each in self._live() if each.waiting_since_ns is not None]
        longest = sorted(waiting, key=lambda each: each.waiting_since_ns or 0)
        for chosen in _batches(longest)[:1]:
            _deliver(chosen, self._drawn(chosen[:MAX_BATCH], now_ns))

    def finish(self, now_ns: int) -> bool:
        """Bring all of the streams that are finishing to an end; tell if there was any."""
        finishing = [each for each in self._live() if each.is_finishing]
        waiting = [each for each in finishing if each.waiting_since_ns is not None]
        answers = [each for batch in _batches(waiting) for each in self._drawn(batch, now_ns)]
        busy = [each for each in finishing if each.stream and each.stream.rows]
        _deliver(finishing, [*answers, *self._flushed(busy)])
        return bool(waiting or busy)

    def _drawn(self, chosen: Sequence[Channel], now_ns: int) -> list[Answer]:
        """Draw the frames that wait in some streams; none of them where that fails."""
        assert self.pipeline is not None, "only loaded groups are drawn"
        streams = [_steered(each, now_ns) for each in chosen]
        frames: Sequence[Frame] = [each.collect() for each in chosen]
        before = [stream.gate.skipped for stream in streams]
        began = self.clock.now_ns()
        try:
            answers = self.pipeline.tick(streams, frames, now_ns)
        except StreamgenError as error:
            self._give_up(chosen, error, [each.collected - each.settled for each in chosen])
            return []
        took_ns = self.clock.now_ns() - began
        follow = FOLLOW if self.frame_ms else 1.0
        self.frame_ms += follow * (took_ns / 1e6 / len(chosen) - self.frame_ms)
        for answer in answers:
            self.age.record((now_ns + took_ns - answer.frame.stamp.ingest_ns) / 1e6)
        for channel, stream, skipped in zip(chosen, streams, before, strict=True):
            channel.give_up("still", stream.gate.skipped - skipped)
            channel.last_tick_ns = now_ns
            channel.alone = max(channel.alone - 1, 0)
        return answers

    def settle(self, now_ns: int, after_ns: int) -> bool:
        """Finish what is under way in streams whose frames stopped coming; tell if any was."""
        idle = [
            each
            for each in self._live()
            if each.stream is not None
            and each.stream.rows
            and now_ns - each.last_tick_ns >= after_ns
        ]
        _deliver(idle, self._flushed(idle))
        return bool(idle)

    def status(self) -> GroupStatus:
        """Tell what is loaded and how fast it is."""
        engines = self.pipeline.engines if self.pipeline else None
        motion = engines.motion_memory if engines else None
        return GroupStatus(
            config=self.config,
            streams=len(self.channels),
            failure=self.failure,
            backend=engines.choice.backend.name if engines else None,
            precision=engines.described_precision if engines else None,
            device=engines.choice.device if engines else None,
            rejected=tuple(engines.choice.rejected) if engines else (),
            motion=str(motion) if motion else None,
            upcoming=self.upcoming.status() if self.upcoming else None,
            frame_ms=self.frame_ms,
            stages=self.clock.summary(),
            age=self.age.percentiles(),
        )

    def _flushed(self, channels: Sequence[Channel]) -> list[Answer]:
        """Bring what is under way in some streams to its end; none where that fails."""
        assert self.pipeline is not None, "only loaded groups are drawn"
        answers: list[Answer] = []
        for batch in _batches(channels):
            streams = [each.stream for each in batch if each.stream]
            counts = [len(stream.rows) for stream in streams]
            try:
                answers += self.pipeline.flush(streams)
            except StreamgenError as error:
                self._give_up(batch, error, counts)
        return answers

    def _live(self) -> list[Channel]:
        return [each for each in list(self.channels) if each.stream is not None]

    def _give_up(
        self, channels: Sequence[Channel], error: StreamgenError, counts: Sequence[int]
    ) -> None:
        """Start the streams of a batch anew that the networks could not draw; counts: frames."""
        logger.warning("%s: a batch of %d failed: %s", self.config.model, len(channels), error)
        for channel, count in zip(channels, counts, strict=True):
            channel.give_up("failed", count)
            channel.alone = ALONE
            if channel.stream is not None:
                channel.stream.reset()


def _steered(channel: Channel, now_ns: int) -> Stream:
    """Return a channel's stream with the revision of this moment in force."""
    assert channel.stream is not None and channel.hub is not None, "only live streams are drawn"
    channel.stream.revision = channel.hub.revision(now_ns)
    return channel.stream


def _batches(channels: Sequence[Channel]) -> list[list[Channel]]:
    """Return channels by what is drawn together, in the order of the first of each."""
    batches: dict[object, list[Channel]] = defaultdict(list)
    for channel in channels:
        batches[channel if channel.alone else None].append(channel)
    return list(batches.values())


def _deliver(channels: Sequence[Channel], answers: Sequence[Answer]) -> None:
    pictures: dict[Stream, list[Frame]] = defaultdict(list)
    for answer in answers:
        pictures[answer.stream].append(answer.frame)
    for channel in channels:
        if channel.stream in pictures:
            channel.deliver(pictures[channel.stream])
