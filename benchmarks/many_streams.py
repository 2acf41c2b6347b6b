"""Measures many streams that share every call of the networks, as they do in one worker.

    for every round:  a frame of each stream ─▶ convert ─▶ [ one tick for all of them ]

Each stream reads the clip from a place of its own, so that no two put in the same picture.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

from benchmarks.clip import Clip
from benchmarks.frame_path import Plan
from streamgen.controls import Controls
from streamgen.frame import Frame, Stamp
from streamgen.metrics import Percentiles, StageClock
from streamgen.models.engines import Engines
from streamgen.pipeline import Answer, Pipeline
from streamgen.sources import Size
from streamgen.sources.convert import Converter

logger = logging.getLogger(__name__)

MAX_STREAMS = 64
_TIME_BASE = Fraction(1, 30)
_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamsRun:
    """What one run took. answered: pictures that came out, by stream."""

    rounds: int
    answered: tuple[int, ...]
    seconds: float
    round_ms: Percentiles

    @property
    def fps(self) -> float:
        """Frames a second of all streams together."""
        return self.rounds * len(self.answered) / self.seconds

    @property
    def shares(self) -> tuple[float, ...]:
        """Each stream's part of all pictures that came out; they add up to 1."""
        return tuple(count / sum(self.answered) for count in self.answered)


class ManyStreams:
    """Streams with one set of engines, and everything that their frames pass."""

    def __init__(
        self,
        engines: Engines,
        controls: Controls,
        *,
        clip: Clip,
        count: int,
        now_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.clip = clip
        self.now_ns = now_ns
        self.clock = StageClock(now_ns)
        self.pipeline = Pipeline(engines)
        self.streams = [self.pipeline.open_stream(f"{n}", controls) for n in range(count)]
        self.offsets = [n * len(clip.pictures) // count for n in range(count)]
        size = Size(engines.config.width, engines.config.height)
        self.converters = [Converter(size, fit="crop") for _ in range(count)]

    def put(self, number: int) -> list[Answer]:
        """Put in a frame of each stream and return the pictures that came to their end."""
        now = self.now_ns()
        self.clock.start()
        frames = []
        for converter, offset in zip(self.converters, self.offsets, strict=True):
            pixels = converter.convert(self.clip.picture(number + offset), self.clip.stance)
            stamp = Stamp(index=number, pts=number, time_base=_TIME_BASE, ingest_ns=now)
            frames.append(Frame(pixels=pixels, stamp=stamp))
        answers = self.pipeline.tick(self.streams, frames, now)
        self.clock.lap("round")
        return answers

    def run(self, frames: int) -> StreamsRun:
        """Redraw about that many frames, of all streams together, and return what it took."""
        self.pipeline.flush(self.streams)
        self.clock.clear()
        rounds = math.ceil(frames / len(self.streams))
        answered: Counter[str] = Counter()
        began = self.now_ns()
        for number in range(rounds):
            answered.update(answer.stream.name for answer in self.put(number))
        seconds = (self.now_ns() - began) / 1e9
        return StreamsRun(
            rounds=rounds,
            answered=tuple(answered[stream.name] for stream in self.streams),
            seconds=seconds,
            round_ms=self.clock.summary()["round"],
        )

    def warm_up(self, frames: int) -> None:
        """Compile what the rounds need; a stream batch is full after as many as it has steps."""
        steps = len(self.streams[0].revision.levels)
        for number in range(max(math.ceil(frames / len(self.streams)), steps + 1)):
            self.put(number)
        self.pipeline.flush(self.streams)


def measure_streams(groups: Sequence[ManyStreams], plan: Plan) -> dict[int, list[StreamsRun]]:
    """Warm up, then run every number of streams in turns; a run has the same frames in all."""
    for group in groups:
        group.warm_up(plan.warmup)
    runs: dict[int, list[StreamsRun]] = {len(group.streams): [] for group in groups}
    for number in range(1, plan.runs + 1):
        for group in groups:
            run = group.run(plan.frames)
            runs[len(group.streams)].append(run)
            logger.info("%d streams, run %d: %.1f fps", len(group.streams), number, run.fps)
    return runs


def streams_facts(runs: Mapping[int, Sequence[StreamsRun]]) -> list[dict[str, object]]:
    """Return the median run of each number of streams as plain data."""
    facts = []
    for count, several in runs.items():
        median = sorted(several, key=lambda run: run.fps)[(len(several) - 1) // 2]
        laps = {name: round(value, _DIGITS) for name, value in asdict(median.round_ms).items()}
        facts.append(
            {
                "count": count,
                "fps": round(median.fps, _DIGITS),
                "shares": [round(share, 4) for share in median.shares],
                "round_ms": laps,
                "runs": [round(run.fps, _DIGITS) for run in several],
            }
        )
    return facts
