"""The time stamps of what arrives as time passes; knows no device."""

from __future__ import annotations

from fractions import Fraction

#: That of video over RTP, fine enough for any clock.
TIME_BASE = Fraction(1, 90_000)


class Arrivals:
    """Turns moments of the monotonic clock into time stamps that rise from 0."""

    def __init__(self) -> None:
        self._first_ns: int | None = None
        self._last_pts = -1

    def pts(self, arrived_ns: int) -> int:
        """Return the time stamp of what arrived then, in units of TIME_BASE."""
        if self._first_ns is None:
            self._first_ns = arrived_ns
        ticks = round(Fraction(arrived_ns - self._first_ns, 1_000_000_000) / TIME_BASE)
        self._last_pts = max(ticks, self._last_pts + 1)
        return self._last_pts
