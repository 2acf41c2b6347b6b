"""What is told while a network is built; plain data, fit for a pipe and a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, Self, runtime_checkable

Stage = Literal["exporting", "waiting", "building", "verifying", "ready", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEvent:
    """A step of one build.

    message: a few words for people, "" where there is nothing to add. share: how much of it is
    done, 0 to 1; None where nobody knows.
    """

    role: str
    stage: Stage
    message: str = ""
    share: float | None = None


Tell = Callable[[BuildEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who follows a build from within: hears how far it is, and says whether it is still wanted.

    tell: what goes on, in a few words, and the share of it that is done, None where nobody knows.
    """

    tell: Callable[[str, float | None], None]
    is_wanted: Callable[[], bool]


UNWATCHED = Watch(tell=lambda what, share: None, is_wanted=lambda: True)


@runtime_checkable
class Watchable(Protocol):
    """A backend that tells how far a build is, and ends one that nobody wants any more."""

    def watched(self, watch: Watch) -> Self:
        """Return the same backend, whose builds tell this one; they raise BuildCancelled."""


def tell_nobody(event: BuildEvent) -> None:
    """Take an event and do nothing with it."""
