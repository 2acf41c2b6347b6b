"""A video against the one that it was redrawn from, as figures; knows nothing of models.

Frames are uint8 [H, W, 3] RGB, of one size.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise, repeat

import numpy as np

from streamgen.errors import ConfigError
from streamgen.evaluation.correspondence import Correspondence, Field, estimate
from streamgen.evaluation.figures import (
    Lab,
    cells_of,
    correlation,
    edges_of,
    flicker_energy,
    gradient_energy,
    mean_lab,
    warp_error,
)
from streamgen.frame import Pixels
from streamgen.quality import edge_ssim

#: Share of a video at each of its ends that tells how its colours drifted.
END_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How steady, sharp and true a redrawn video is.

    warp_error: mean squared difference to the frame before, moved by the input's flow, in [0, 1];
    input_warp_error: the same of the input itself: what the flow cannot explain.
    flicker: fast change of brightness in cells that the input does not have, RMS in levels;
    below 0 where the drawing is steadier than the input.
    sharpness: gradient energy over the input's, where the flow is known.
    edge_ssim: mean over the frames. lag: correlation of the edges with the input's of the same
    frame, less that with the frame before; of a still video 0, of one that drags behind below 0.
    colour_drift: how far the mean colour went against the input's from start to end, in Delta E.
    known_share: share of pixels whose flow is known. over_time: a value a frame.
    """

    frames: int
    warp_error: float
    input_warp_error: float
    flicker: float
    sharpness: float
    edge_ssim: float
    lag: float
    colour_drift: float
    known_share: float
    over_time: Mapping[str, Sequence[float]]


def measure(
    given: Iterable[Pixels],
    drawn: Iterable[Pixels],
    *,
    known: Iterable[Correspondence] | None = None,
) -> Figures:
    """Measure a drawn video against the given one; each frame is looked at once, in order.

    known: where the pixels of each frame but the first were before; estimated unless told.
    Raises ConfigError for videos of other lengths or sizes and for fewer than 3 frames.
    """
    meter = Meter()
    told: Iterator[Correspondence | None] = chain([None], repeat(None) if known is None else known)
    for pair in _paired(given, drawn):
        meter.add(*pair, known=next(told))
    return meter.figures()


def correspondences(frames: Sequence[Pixels]) -> list[Correspondence]:
    """Return the flow of every frame but the first, to be used for several measurements."""
    return [estimate(before, after) for before, after in pairwise(frames)]


@dataclass(slots=True)
class _Seen:
    """What of a frame the next two are compared with."""

    given: Pixels
    drawn: Pixels
    given_edges: Field
    given_cells: Field
    drawn_cells: Field


@dataclass(slots=True)
class Meter:
    """Takes a video frame by frame."""

    last: deque[_Seen] = field(default_factory=lambda: deque(maxlen=2))
    offsets: list[Lab] = field(default_factory=list)
    energies: list[tuple[float, float]] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, given: Pixels, drawn: Pixels, *, known: Correspondence | None = None) -> None:
        """Take the next frame and its drawing; known: where its pixels were, None: estimate."""
        if given.shape != drawn.shape:
            raise ConfigError(f"frames {given.shape} and {drawn.shape}: give videos of one size")
        seen = _Seen(given, drawn, edges_of(given), cells_of(given), cells_of(drawn))
        offset = mean_lab(drawn) - mean_lab(given)
        self.offsets.append(offset)
        self._note(edge_ssim=edge_ssim(drawn, given))
        self._note(colour_offset=float(np.linalg.norm(offset - self.offsets[0])))
        if self.last:
            self._compare(self.last[-1], seen, known or estimate(self.last[-1].given, given))
        if len(self.last) == 2:
            self._add_flicker(self.last[0], self.last[1], seen)
        self.last.append(seen)

    def figures(self) -> Figures:
        """Return the figures of what was taken; ConfigError for fewer than 3 frames."""
        count = len(self.offsets)
        if count < 3:
            raise ConfigError(f"a video of {count} frames: at least 3 are measured")
        ends = max(1, round(count * END_SHARE))
        drift = np.mean(self.offsets[-ends:], axis=0) - np.mean(self.offsets[:ends], axis=0)
        sums = np.sum(self.energies, axis=0)
        means = {name: float(np.mean(values)) for name, values in self.series.items()}
        flicker = means["flicker"]
        return Figures(
            frames=count,
            warp_error=means["warp_error"],
            input_warp_error=means["input_warp_error"],
            flicker=float(np.sign(flicker) * np.sqrt(abs(flicker))),
            sharpness=float(sums[0] / max(sums[1], 1e-9)),
            edge_ssim=means["edge_ssim"],
            lag=means["lag"],
            colour_drift=float(np.linalg.norm(drift)),
            known_share=means["known_share"],
            over_time=dict(self.series),
        )

    def _compare(self, before: _Seen, now: _Seen, known: Correspondence) -> None:
        energies = [gradient_energy(each, known.is_known) for each in (now.drawn, now.given)]
        self.energies.append((energies[0], energies[1]))
        edges = edges_of(now.drawn)
        self._note(
            warp_error=warp_error(before.drawn, now.drawn, known),
            input_warp_error=warp_error(before.given, now.given, known),
            lag=correlation(edges, now.given_edges) - correlation(edges, before.given_edges),
            known_share=float(known.is_known.mean()),
        )

    def _add_flicker(self, first: _Seen, second: _Seen, third: _Seen) -> None:
        of_drawn = flicker_energy(first.drawn_cells, second.drawn_cells, third.drawn_cells)
        of_given = flicker_energy(first.given_cells, second.given_cells, third.given_cells)
        self._note(flicker=of_drawn - of_given)

    def _note(self, **values: float) -> None:
        for name, value in values.items():
            self.series[name].append(value)


def _paired(given: Iterable[Pixels], drawn: Iterable[Pixels]) -> Iterator[tuple[Pixels, Pixels]]:
    try:
        yield from zip(given, drawn, strict=True)
    except ValueError as error:
        raise ConfigError("videos of different lengths: give one frame for each frame") from error
