"""How long the stages of a frame take; knows nothing of what they do."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
