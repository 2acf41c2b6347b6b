"""How long the stages of a frame take; knows nothing of what they do."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

WINDOW = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Milliseconds: the median, and what 95 and 99 of 100 frames stay under."""

    p50: float
    p95: float
    p99: float


def percentiles(samples_ms: Sequence[float]) -> Percentiles:
    """Return nearest-rank percentiles; raise ValueError without samples."""
    if not samples_ms:
        raise ValueError("percentiles of no samples: measure at least one frame")
    ordered = sorted(samples_ms)

    def rank(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1]

    return Percentiles(p50=rank(0.50), p95=rank(0.95), p99=rank(0.99))


class Histogram:
    """How often a time fell where: some hundred counts, whatever was measured; one writer.

    Bounds rise by a tenth each, so what `percentiles` tells is at most so much too high.
    """

    LOWEST_MS, FACTOR, BUCKETS = 0.01, 1.1, 180  # up to 2.8e5 ms

    def __init__(self) -> None:
        self.counts = [0] * (self.BUCKETS + 1)
        self.total_ms = 0.0

    def record(self, ms: float) -> None:
        """Count a time; what is above the last bound is counted there."""
        above = math.log(max(ms, self.LOWEST_MS) / self.LOWEST_MS) / math.log(self.FACTOR)
        self.counts[min(math.ceil(above), self.BUCKETS)] += 1
        self.total_ms += ms

    @property
    def count(self) -> int:
        return sum(self.counts)

    def bound_ms(self, bucket: int) -> float:
        """Return the upper bound of a bucket."""
        return self.LOWEST_MS * self.FACTOR**bucket

    def percentiles(self) -> Percentiles | None:
        """Return upper bounds of the percentiles; None where nothing was measured."""
        counts = list(self.counts)  # one look, as the writer goes on
        total, sums = sum(counts), list(accumulate(counts))
        if not total:
            return None

        def rank(share: float) -> float:
            return self.bound_ms(bisect_left(sums, math.ceil(share * total)))

        return Percentiles(p50=rank(0.50), p95=rank(0.95), p99=rank(0.99))


class StageClock:
    """Laps of the frame under way, and the last laps of each stage.

    On a GPU a lap is the time to hand work over; what waits for the GPU books the rest (decode).
    """

    def __init__(self, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self.now_ns = now_ns
        self.last_ns = 0
        self.laps_ms: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=WINDOW))

    def start(self) -> None:
        """Begin a frame."""
        self.last_ns = self.now_ns()

    def lap(self, stage: str) -> None:
        """Book the time since the last lap to a stage."""
        now = self.now_ns()
        self.laps_ms[stage].append((now - self.last_ns) / 1e6)
        self.last_ns = now

    def clear(self) -> None:
        """Forget what was measured, as after a warm-up."""
        self.laps_ms.clear()

    def summary(self) -> dict[str, Percentiles]:
        """Return the percentiles of every stage."""
        return {stage: percentiles(list(laps)) for stage, laps in self.laps_ms.items()}


class LiveClock(StageClock):
    """A stage clock that may run for days: it keeps histograms, not laps."""

    def __init__(self, now_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        super().__init__(now_ns)
        self.stages: dict[str, Histogram] = defaultdict(Histogram)

    def lap(self, stage: str) -> None:
        """Book the time since the last lap to a stage."""
        now = self.now_ns()
        self.stages[stage].record((now - self.last_ns) / 1e6)
        self.last_ns = now

    def clear(self) -> None:
        """Forget what was measured."""
        self.stages.clear()

    def summary(self) -> dict[str, Percentiles]:
        """Return the percentiles of every stage, each at most a tenth too high."""
        found = {stage: times.percentiles() for stage, times in list(self.stages.items())}
        return {stage: each for stage, each in found.items() if each is not None}
