"""Holds a stream's colours: the statistics of its pictures follow a slow reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from streamgen.temporal.moment import Moment

#: Which part of the way the reference goes to each new picture: it forgets in about 64.
FOLLOW = 1 / 64
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """Slow mean and standard deviation of each channel, [C, 1, 1], and what they are of."""

    mean: Tensor
    spread: Tensor
    moment: Moment


@dataclass(slots=True, kw_only=True, eq=False)
class ColourAnchor:
    """Where the statistics of one stream's pictures have been; None at the start.

    They are those of x̂0 before any of it was blended with what came before: so the reference cannot
    run away together with the pictures.
    """

    reference: Reference | None = None

    def held(self, clean: Tensor, moment: Moment) -> Tensor:
        """Return the last level's x̂0, [C, h, w], with its statistics pulled to the reference.

        The reference goes a little of the way to the picture; all of it where the picture is of
        another scene or drawn with other controls.
        """
        strength = moment.controls.colour_anchor
        if strength == 0:
            self.reference = None
            return clean
        mean = clean.mean(dim=(1, 2), keepdim=True)
        spread = clean.std(dim=(1, 2), keepdim=True).clamp_min(_LEAST_SPREAD)
        before = self.reference
        alike = moment.likeness(before.moment) if before is not None else 0.0
        part = max(FOLLOW, 1 - alike)
        now = replace(moment, motion=None)
        if before is None or alike == 0:
            self.reference = Reference(mean=mean, spread=spread, moment=now)
            return clean
        slow_mean = before.mean + part * (mean - before.mean)
        slow_spread = before.spread + part * (spread - before.spread)
        self.reference = Reference(mean=slow_mean, spread=slow_spread, moment=now)
        anchored = (clean - mean) * (slow_spread / spread) + slow_mean
        return clean + strength * (anchored - clean)

    def forget(self) -> None:
        """Begin anew with the next picture."""
        self.reference = None
