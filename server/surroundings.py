"""What every session is given: one piece of data for a whole server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from server.aiortc_tuning.shared import SharedH264
from server.desk import Desk
from server.recorder_files import RecordingPlace
from server.rules import SessionRules


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """pictures: pool for converting. stage: told of sampled ms.

    encoder: makes what encodes a stream for its guests. recordings: where they go, None for none.
    """

    desk: Desk
    rules: SessionRules
    pictures: Executor
    clock: Callable[[], float]
    stage: Callable[[str, float], None]
    encoder: Callable[[], SharedH264]
    recordings: RecordingPlace | None = None
