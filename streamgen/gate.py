"""The similarity gate: which frames of one stream are drawn; knows no models and no other stream.

The idea of skipping by chance is that of StreamDiffusion (Kodaira et al. 2023, arXiv:2312.12491).
Its score is one number for the whole picture, in which small things move unseen; here the worst
part of the picture counts. Frames are compared with the last one drawn, so slow change adds up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamgen.controls import Controls
from streamgen.frame import Pixels

TILES = 8
CELLS = 32  # a side: the tiles of the score are 4 x 4 cells
# Levels of 255 at which a tile has nothing in common: two pictures of noise differ by 130.
UNLIKE_LEVELS = 128.0
# How much of 1 - similarity_threshold a frame may differ before it is drawn for certain: less to
# fall asleep than to wake. With the default of 0.98 that is 2.6 and 3.1 levels in the worst tile,
# where sensor noise of sigma 3 makes 1.2 at 256 x 256, and something of 2 % of the picture, 25
# levels off its ground, at least 3.4 once it has moved by 1 % of the longer side.
AWAKE, RESTING = 1.0, 1.2
# Up to this part of that difference a frame is skipped for certain; above it, by chance.
SURE = 0.75


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What is kept of a frame: the mean colours of its cells.

    cells: float32 [32, 32, 3] in 0..255. height, width: of the frame.
    """

    cells: NDArray[np.float32]
    height: int
    width: int


def reference_of(pixels: Pixels) -> Reference:
    """Average a frame, uint8 [H, W, 3], over 32 x 32 cells, where the noise of a camera cancels.

    Any size will do: cells differ by a pixel where it does not divide, and share pixels where
    there are fewer than cells.
    """
    height, width = pixels.shape[:2]
    rows, row_counts = _cuts(height)
    columns, column_counts = _cuts(width)
    # Bands of whole rows first: this is where the pixels are, and numpy sums them at full speed.
    bands = np.empty((CELLS, width, 3), np.uint32)
    for band, start, count in zip(bands, rows.tolist(), row_counts.tolist(), strict=True):
        np.sum(pixels[start : start + count], axis=0, dtype=np.uint32, out=band)
    # Where two columns start alike, reduceat takes the one pixel, which is what is meant.
    sums = np.add.reduceat(bands, columns, axis=1)
    counts = np.outer(row_counts, column_counts)[:, :, None]
    return Reference(cells=(sums / counts).astype(np.float32), height=height, width=width)


def _cuts(length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the cells of a side start, in pixels, and how many pixels each one holds."""
    edges = np.arange(CELLS + 1, dtype=np.int64) * length // CELLS
    return edges[:-1], np.maximum(np.diff(edges), 1)


def similarity(a: Reference, b: Reference) -> float:
    """Return how alike two frames are in their least alike part, in [0, 1]; 1 is the same.

    The score is the worst of 8 x 8 tiles: a ball or lips in a still room count in full. That of a
    tile is max(0, 1 - d / 128), where d is the fourth root of the mean fourth power of the
    difference of its cells, over red, green and blue, in levels of 255. The fourth power hears an
    edge that moved through a few cells above noise in all of them (the mean square does less so),
    and all three colours make another colour of equal brightness another picture. Frames of
    unequal size are not alike at all.
    """
    if (a.height, a.width) != (b.height, b.width):
        return 0.0
    side = CELLS // TILES
    powers = np.square(np.square(a.cells - b.cells)).reshape(TILES, side, TILES, side * 3)
    levels = float(powers.mean(axis=(1, 3)).max() ** 0.25)
    return max(0.0, 1.0 - levels / UNLIKE_LEVELS)


@dataclass(slots=True, kw_only=True, eq=False)
class SimilarityGate:
    """One stream's similarity filter: plain state, seeded.

    With d = 1 - similarity to the last frame drawn, and `allowed` = 1 - similarity_threshold, at
    rest 1.2 times as much, a frame is
        drawn where d > allowed,
        skipped where d <= 0.75 * allowed,
        skipped between them with probability 4 * (1 - d / allowed).
    After `max_skip_frame` skips in a row one frame is drawn all the same.

    reference: of the last frame drawn, None before the first. is_resting: since the first skip,
    until a frame is drawn because it differs. drawn, skipped: frames so far.
    """

    seed: int = 0
    reference: Reference | None = None
    skipped_in_a_row: int = 0
    is_resting: bool = False
    drawn: int = 0
    skipped: int = 0
    generator: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.seed)

    @property
    def skipped_share(self) -> float:
        """Which part of all frames was skipped, in [0, 1]."""
        return self.skipped / max(self.drawn + self.skipped, 1)

    def admits(self, pixels: Pixels, controls: Controls) -> bool:
        """Tell whether a frame, uint8 [H, W, 3], is to be drawn, and book it as drawn or skipped.

        With the filter off every frame is drawn, and none is remembered.
        """
        if controls.similarity_filter == "off":
            self.forget()
            self.drawn += 1
            return True
        reference = reference_of(pixels)
        is_still = self._is_still(reference, controls.similarity_threshold)
        if is_still and self.skipped_in_a_row < controls.max_skip_frame:
            self.is_resting = True
            self.skipped_in_a_row += 1
            self.skipped += 1
            return False
        self.is_resting = self.is_resting and is_still  # a refresh does not wake the stream
        self.reference = reference
        self.skipped_in_a_row = 0
        self.drawn += 1
        return True

    def forget(self) -> None:
        """Have the next frame drawn, whatever it looks like; the counts go on."""
        self.reference = None
        self.skipped_in_a_row = 0
        self.is_resting = False

    def _is_still(self, reference: Reference, threshold: float) -> bool:
        """Tell whether a frame passes for the last one drawn; between the bounds, throw a die."""
        if self.reference is None:
            return False
        difference = 1.0 - similarity(self.reference, reference)
        allowed = (1.0 - threshold) * (RESTING if self.is_resting else AWAKE)
        if difference > allowed:
            return False
        if difference <= SURE * allowed:
            return True
        chance = (1.0 - difference / allowed) / (1.0 - SURE)
        return bool(self.generator.random() < chance)
