"""What is told while a network is built; plain data, fit for a pipe and a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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


def tell_nobody(event: BuildEvent) -> None:
    """Take an event and do nothing with it."""
