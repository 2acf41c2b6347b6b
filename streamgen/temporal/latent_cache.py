"""The latent cache: each level's own last x̂0, blended into the next one where nothing moves.

Frames pass a level in the same order with and without stream batch, so pictures are the same, too.
What moves is left to `picture_cache`, which says why; there, the last level is blended as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from streamgen.controls import Controls
from streamgen.temporal.moment import Moment
from streamgen.temporal.motion import Motion


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """A blended x̂0, [C, h, w], and when it was drawn."""

    clean: Tensor
    moment: Moment


@dataclass(slots=True, kw_only=True, eq=False)
class LatentCache:
    """The last blended x̂0 of one stream at each level, by the level's position."""

    levels: dict[int, Kept] = field(default_factory=dict)

    def blended(self, clean: Tensor, moment: Moment, *, position: int, is_last: bool) -> Tensor:
        """Return x̂0, [C, h, w], with some of the last one where the input has not changed.

        The result is kept for the next frame. is_last: of the picture's last level.
        """
        controls = moment.controls
        if controls.temporal_strength == 0 or (is_last and controls.temporal_motion == "flow"):
            self.levels.pop(position, None)
            return clean
        kept, motion = self.levels.get(position), moment.motion
        if kept is not None and motion is not None and kept.clean.shape == clean.shape:
            weight = moment.keeps(kept.moment)
            if weight > 0:
                same = _sameness(motion, controls).to(clean.dtype)
                clean = clean + weight * same * (kept.clean - clean)
        self.levels[position] = Kept(clean=clean, moment=replace(moment, motion=None))
        return clean

    def forget(self) -> None:
        """Empty it: nothing of the pictures so far is seen again."""
        self.levels.clear()


def _sameness(motion: Motion, controls: Controls) -> Tensor:
    """Return how much each cell, [h, w], is what it was in the same place, in [0, 1]."""
    if controls.temporal_motion == "still":
        return 1 - motion.change_in_place
    is_still = (motion.flow == 0).all(dim=0)
    return torch.where(is_still, 1 - motion.change, 0.0)
