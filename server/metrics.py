"""What is counted for Prometheus, in a registry of its own, and a probe of the event loop's lag.

No label names a session, a visitor or an address: the number of series stays what it is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.nouns import SeatCount, State, StreamRow

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LAG_EVERY_S = 0.25
#: From here on somebody waits for a loop that is busy with something that is not its work.
LAG_ALARM_S = 0.1
#: The log says it this often at most.
ALARM_EVERY_S = 30.0
_STAGE_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)
_ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Everything that is counted; one object for one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "streamgen_http_requests",
            "Requests by route and status.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._answers = Histogram(
            "streamgen_http_answer_seconds",
            "Time until an answer was complete.",
            ("route",),
            buckets=_ANSWER_S,
            registry=self.registry,
        )
        self._refused = Counter(
            "streamgen_refused",
            "Requests that were refused before any route saw them, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self._stages = Histogram(
            "streamgen_stage_seconds",
            "Time of sampled frames in each stage: queue, model, encode.",
            ("stage",),
            buckets=_STAGE_S,
            registry=self.registry,
        )
        self._lag = Histogram(
            "streamgen_loop_lag_seconds",
            "How late the event loop woke up.",
            buckets=_STAGE_S,
            registry=self.registry,
        )
        self._tasks = Gauge(
            "streamgen_loop_tasks",
            "Tasks of the event loop; without visitors always as many.",
            registry=self.registry,
        )
        self._is_ready = Gauge(
            "streamgen_ready",
            "1 while new sessions are taken.",
            registry=self.registry,
        )

    def answered(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; route: its pattern, never the address that was asked for."""
        self._requests.labels(method, route, str(status)).inc()
        self._answers.labels(route).observe(seconds)

    def refused(self, key: str) -> None:
        """Count a request that came no further than the guard."""
        self._refused.labels(key).inc()

    def stage(self, name: str, ms: float) -> None:
        """Count how long a sampled frame was in a stage."""
        self._stages.labels(name).observe(ms / 1000)

    def lagged(self, seconds: float) -> None:
        """Count how late the loop was."""
        self._lag.observe(seconds)

    def say_tasks(self, count: int) -> None:
        """Tell how many tasks the loop has."""
        self._tasks.set(count)

    def say_ready(self, is_ready: bool) -> None:
        """Tell whether new sessions are taken."""
        self._is_ready.set(is_ready)

    def watch(self, ask: Collector) -> None:
        """Ask a collector at every scrape, too."""
        self.registry.register(ask)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class SeatMetrics(Collector):
    """Sessions by state, seats, and how often the model's process was replaced, when asked."""

    def __init__(
        self,
        *,
        seats: Callable[[], SeatCount],
        states: Callable[[], Mapping[State, int]],
        restarts: Callable[[], int],
        streams: Callable[[], Sequence[StreamRow]],
    ) -> None:
        self._seats, self._states, self._restarts = seats, states, restarts
        self._streams = streams

    def collect(self) -> Iterable[Metric]:
        """Return the numbers of this moment."""
        sessions = GaugeMetricFamily("streamgen_sessions", "Sessions by state.", labels=["state"])
        states = self._states()
        for state in get_args(State):
            sessions.add_metric([state], states.get(state, 0))
        yield sessions
        count = self._seats()
        seats = GaugeMetricFamily("streamgen_seats", "Seats, and who waits.", labels=["kind"])
        for kind, value in (("all", count.all), ("free", count.free), ("waiting", count.waiting)):
            seats.add_metric([kind], value)
        yield seats
        rows = self._streams()
        yield _gauge("streamgen_viewers", "Who watch streams.", sum(row.viewers for row in rows))
        recorded = sum(row.is_recording for row in rows)
        yield _gauge("streamgen_recordings", "Streams that are recorded.", recorded)
        restarts = CounterMetricFamily(
            "streamgen_model_restarts", "How often the model's process was replaced."
        )
        restarts.add_metric([], self._restarts())
        yield restarts


def _gauge(name: str, about: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(name, about)
    gauge.add_metric([], value)
    return gauge


async def watch_lag(
    metrics: Metrics,
    *,
    clock: Callable[[], float],
    every_s: float = LAG_EVERY_S,
    alarm_every_s: float = ALARM_EVERY_S,
) -> None:
    """Measure how late the loop wakes up, until cancelled."""
    told_at: float | None = None
    while True:
        due = clock() + every_s
        await asyncio.sleep(every_s)
        now = clock()
        lag = max(now - due, 0.0)
        metrics.lagged(lag)
        metrics.say_tasks(len(asyncio.all_tasks()))
        if lag > LAG_ALARM_S and (told_at is None or now - told_at > alarm_every_s):
            told_at = now
            logger.warning("the event loop was %d ms late: something blocks it", lag * 1000)
