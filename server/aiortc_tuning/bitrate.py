"""How fast to send: wishes of a peer damped to few changes, and the rate of the pictures measured.

Knows no codec.
"""

from __future__ import annotations

# A wish nearer than this to the present bit rate changes nothing.
LOWEST_SHARE, HIGHEST_SHARE = 0.75, 1.35
# Congestion must be answered soon; a better line may prove itself first.
LOWER_AFTER_S, RAISE_AFTER_S = 1.0, 8.0

_SHARE_OF_NEW = 0.1
_LONGEST_GAP_S = 0.5


class SteadyBitrate:
    """Follows what a peer says it can take (REMB, several times a second), in rare steps.

    Upstream rebuilds its encoder at each change of 10 %, and every rebuild is a key frame.
    """

    def __init__(self, *, default: int, minimum: int, maximum: int) -> None:
        self.rate = default
        self.steps = 0
        self._minimum, self._maximum = minimum, maximum
        self._direction = 0
        self._since_s = 0.0

    def follow(self, wish: int, now_s: float) -> int:
        """Take a wish in bit/s; return the rate to use, always within the bounds."""
        wanted = max(self._minimum, min(wish, self._maximum))
        direction = self._direction_to(wanted)
        if direction != self._direction:
            self._direction, self._since_s = direction, now_s
        patience_s = LOWER_AFTER_S if direction < 0 else RAISE_AFTER_S
        if direction and now_s - self._since_s >= patience_s:
            self.rate = wanted
            self.steps += 1
            self._direction = 0
        return self.rate

    def _direction_to(self, wanted: int) -> int:
        if wanted < LOWEST_SHARE * self.rate:
            return -1
        return int(wanted > HIGHEST_SHARE * self.rate)


class Pace:
    """Frames per second that really come, from their time stamps."""

    def __init__(self, max_fps: float) -> None:
        self._shortest_s = 1 / (4 * max_fps)
        self._interval_s = 1 / max_fps
        self._last_s: float | None = None

    @property
    def fps(self) -> float:
        return 1 / self._interval_s

    def see(self, seconds: float) -> None:
        """Take the presentation time of the next frame."""
        if self._last_s is not None:
            gap_s = max(self._shortest_s, min(seconds - self._last_s, _LONGEST_GAP_S))
            self._interval_s += _SHARE_OF_NEW * (gap_s - self._interval_s)
        self._last_s = seconds
