"""When a row is drawn: what a memory needs to know to tell whether it still holds."""

from __future__ import annotations

from dataclasses import dataclass

from streamgen.controls import Controls
from streamgen.temporal.likeness import likeness
from streamgen.temporal.motion import Motion

#: A picture never keeps more than this of the one before, so that slow change comes through.
MOST = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """One row of a stream, as its memory sees it.

    number: counts the rows. motion: since the row before, None where nothing is known of it.
    """

    number: int
    controls: Controls
    motion: Motion | None

    def likeness(self, before: Moment) -> float:
        """Return how much what was kept at another moment says about this one, in [0, 1].

        0 unless that was of the row before: the motion is since then, and not since others.
        """
        if before.number != self.number - 1 or self.motion is None or self.motion.is_cut:
            return 0.0
        return likeness(before.controls, self.controls)

    def keeps(self, before: Moment) -> float:
        """Return which share of what was kept goes into this picture where nothing changed."""
        return min(self.controls.temporal_strength, MOST) * self.likeness(before)
