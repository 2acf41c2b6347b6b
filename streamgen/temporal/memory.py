"""All that one stream remembers between its pictures, as plain data; no other stream sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamgen.temporal.anchor import ColourAnchor
from streamgen.temporal.latent_cache import LatentCache
from streamgen.temporal.motion import MotionEstimator
from streamgen.temporal.picture_cache import PictureCache
from streamgen.temporal.reading import Leases
from streamgen.temporal.reuse import Drawn


@dataclass(slots=True, kw_only=True, eq=False)
class StreamMemory:
    """A stream's memory; empty at its start and after a reset.

    rows: how many there were so far. motion: has seen the last frame drawn. latents: the last x̂0
    of each level. pictures: the last one shown. colours: where the statistics of the pictures have
    been. drawn: the last picture and what it was drawn of, where parts of it may be left. features:
    its slots of the feature bank. rings: those of the frames that motion modules look back at.
    """

    motion: MotionEstimator
    rows: int = 0
    latents: LatentCache = field(default_factory=LatentCache)
    pictures: PictureCache = field(default_factory=PictureCache)
    colours: ColourAnchor = field(default_factory=ColourAnchor)
    drawn: Drawn = field(default_factory=Drawn)
    features: Leases = field(default_factory=Leases)
    rings: Leases = field(default_factory=Leases)

    def count(self, *, oldest: int | None = None) -> int:
        """Return the number of the next row; oldest: of the one longest under way, None for none.

        Slots that only rows before those have read are free for others.
        """
        self.rows += 1
        for each in (self.features, self.rings):
            each.let_go(oldest=self.rows if oldest is None else oldest)
        return self.rows

    def forget(self) -> None:
        """Empty everything: the next picture is drawn as if it were the first."""
        self.motion.forget()
        self.latents.forget()
        self.pictures.forget()
        self.colours.forget()
        self.drawn.forget()
        self.features.forget()
        self.rings.forget()
