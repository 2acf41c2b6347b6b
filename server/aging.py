"""How long is too long: from what was last heard of a session to what becomes of it; pure."""

from __future__ import annotations

from dataclasses import dataclass

from server.rules import SessionRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """Seconds: since it was opened, since its peer was heard, since a picture came.

    lost_s: since its peer is gone, None where it is there.
    """

    opened_s: float
    silent_s: float
    blind_s: float
    lost_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a session.

    is_paused: its frames are not drawn. is_blind: no picture comes, which the visitor should know.
    is_lost: the peer is closed, the seat kept for it. end: why it is over, None where it is not.
    """

    is_paused: bool = False
    is_blind: bool = False
    is_lost: bool = False
    end: str | None = None


def judged(ages: Ages, rules: SessionRules) -> Verdict:
    """Return what becomes of a session of these ages."""
    if rules.longest_s is not None and ages.opened_s > rules.longest_s:
        return Verdict(end=f"sessions last {rules.longest_s / 60:.0f} minutes at most")
    if ages.lost_s is not None:
        is_over = ages.lost_s > rules.resume_s
        return Verdict(is_paused=True, end="the connection was lost" if is_over else None)
    if ages.silent_s > rules.silent_s:
        return Verdict(is_paused=True, is_lost=True)
    if ages.blind_s > rules.idle_s:
        return Verdict(end=f"no picture came for {rules.idle_s:.0f} seconds")
    return Verdict(is_paused=ages.silent_s > rules.pause_s, is_blind=ages.blind_s > rules.notice_s)
