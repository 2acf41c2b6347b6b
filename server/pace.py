"""How fast a session's pictures come and what they wait for; plain arithmetic on a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from server.tracks import Timing

#: Pictures a second are counted over so long.
WINDOW_S = 2.0
#: Of all timings, one is passed on in so long.
SAMPLE_S = 0.5


class Pace:
    """Told of every picture, asked about all of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._shown: deque[float] = deque()
        self._last_s: float | None = None
        self._sampled_s: float | None = None
        self._stages_ms: dict[str, float] = {}

    def shown(self) -> None:
        """Count a picture."""
        self._last_s = self._clock()
        self._shown.append(self._last_s)
        self._forget()

    def timed(self, timing: Timing) -> bool:
        """Note how long a picture was where; tell whether it is time to pass that on."""
        self._stages_ms = stages_ms(timing)
        now = self._clock()
        if self._sampled_s is not None and now - self._sampled_s < SAMPLE_S:
            return False
        self._sampled_s = now
        return True

    @property
    def fps(self) -> float:
        """Pictures a second, of late."""
        self._forget()
        return len(self._shown) / WINDOW_S

    @property
    def rest_s(self) -> float | None:
        """Seconds since the last picture, None before the first."""
        return None if self._last_s is None else self._clock() - self._last_s

    @property
    def stages_ms(self) -> Mapping[str, float]:
        """What the last picture was in: queue, model, encode."""
        return self._stages_ms

    def _forget(self) -> None:
        since = self._clock() - WINDOW_S
        while self._shown and self._shown[0] <= since:
            self._shown.popleft()


def stages_ms(timing: Timing) -> dict[str, float]:
    """Return how long a picture was in each stage."""
    taken_ns = timing.drawn_ns if timing.tick_ns is None else timing.tick_ns
    return {
        "queue": round((taken_ns - timing.ingest_ns) / 1e6, 2),
        "model": round((timing.drawn_ns - taken_ns) / 1e6, 2),
        "encode": round(timing.encode_ms, 2),
    }


def frame_message(timing: Timing) -> dict[str, object]:
    """Return what the page is told of a picture that it was sent."""
    stages = {f"{name}_ms": ms for name, ms in stages_ms(timing).items()}
    return {"type": "frame", "pts": timing.pts, **stages, "revision": timing.revision}
