"""How a stream's frame came about from the last one drawn: where things moved, what is new.

Everything is found on a small picture, 128 px on its longer side at most, and ends in latent cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamgen.frame import Pixels
from streamgen.temporal.cuts import is_cut
from streamgen.temporal.flow import Bytes, Floats, estimate_flow, leaves, length, moved

#: Pixels of the small picture's longer side, at most.
SIDE = 128
# A difference up to FROM times the noise of the picture is none; UNTIL levels of 255 above that, it
# is something else altogether.
FROM, UNTIL = 1.5, 8.0
#: No picture has less noise than its own rounding, in levels of 255.
LEAST_NOISE = 0.5
#: Cells that moved by less than this part of themselves stand still.
STILL = 0.03
#: Nor did they move where a difference explained by motion is hardly smaller: its flow is noise.
STILL_WINS = 1.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motion:
    """How a frame differs from the last one drawn, in latent cells.

    flow: [2, h, w] float32: (dx, dy) from each cell of this frame to where it was in the last one;
    exactly 0 where nothing moved. change: [h, w] float32 in [0, 1]: how much the input differs from
    the last one moved by that flow; 0 is the same, 1 something else or newly seen.
    change_in_place: alike, from the last one as it was. is_cut: it shows another scene. fine:
    [hs, ws, 2] float32, the flow of a small picture's pixels in these, always on the CPU.
    """

    flow: Tensor
    fine: Tensor
    change: Tensor
    change_in_place: Tensor
    is_cut: bool

    def on(self, device: torch.device, *, sees_cuts: bool = True) -> Motion:
        """Return it on a device; without `sees_cuts`, a cut is change like any other."""
        return Motion(
            flow=self.flow.to(device),
            fine=self.fine,
            change=self.change.to(device),
            change_in_place=self.change_in_place.to(device),
            is_cut=self.is_cut and sees_cuts,
        )


@dataclass(slots=True, kw_only=True, eq=False)
class MotionEstimator:
    """Compares the frames of one stream, each with the one before.

    cells: (h, w) of the latents. last: the small picture of the frame seen before, uint8.
    """

    cells: tuple[int, int]
    last: Bytes | None = None

    def see(self, pixels: Pixels) -> Motion | None:
        """Return how a frame, uint8 [H, W, 3], differs from the one seen before; None without."""
        small = self._small(pixels)
        before, self.last = self.last, small
        return None if before is None else compared(before, small, self.cells)

    def forget(self) -> None:
        """Have the next frame count as the first."""
        self.last = None

    def _small(self, pixels: Pixels) -> Bytes:
        height, width = self.cells
        scale = max(SIDE // max(self.cells), 1)
        size = (width * scale, height * scale)
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def compared(before: Bytes, now: Bytes, cells: tuple[int, int]) -> Motion:
    """Return how one small picture came about from another, uint8 [h, w, 3] of one size."""
    flow = estimate_flow(_grey(before), _grey(now))
    found = moved(before, flow)
    in_place = _difference(before, now, cells)
    along = _difference(found, now, cells)
    noise = _noise(np.minimum(in_place, along))
    cell_flow = _cells(flow, cells) * (cells[0] / now.shape[0])
    # What stands still is taken from where it was, bit for bit: no flow does better there.
    is_slow = length(cell_flow) < STILL
    is_still = is_slow | (in_place <= STILL_WINS * along + 0.25 * noise)
    cell_flow[is_still] = 0.0
    change = _as_change(np.where(is_still, in_place, along), noise)
    outside = _cells(leaves(flow).astype(np.float32), cells)
    hidden = np.where(is_still, 0.0, outside).astype(np.float32)
    return Motion(
        fine=torch.from_numpy(_only(flow, ~is_still)),
        flow=torch.from_numpy(np.ascontiguousarray(cell_flow.transpose(2, 0, 1))),
        change=torch.from_numpy(np.maximum(change, hidden)),
        change_in_place=torch.from_numpy(_as_change(in_place, noise)),
        is_cut=is_cut(before, now, found=found),
    )


def _difference(a: Bytes | Floats, b: Bytes, cells: tuple[int, int]) -> Floats:
    """Return how far cells of two pictures are apart, in levels of 255, [h, w].

    Of the colour that differs most; pictures are smoothed a little before, so that noise cancels.
    """
    apart = a.astype(np.float32) - b.astype(np.float32)
    smooth = np.asarray(cv2.blur(apart, (3, 3)), np.float32)
    powers: Floats = _cells(np.square(smooth), cells).max(axis=2)
    return np.sqrt(powers)


def _noise(differences: Floats) -> float:
    """Return what cells differ by without cause: what a quarter of them stays below."""
    place = differences.size // 4
    return max(float(np.partition(differences, place, axis=None)[place]), LEAST_NOISE)


def _as_change(differences: Floats, noise: float) -> Floats:
    change: Floats = np.clip((differences - FROM * noise) / UNTIL, 0.0, 1.0).astype(np.float32)
    return change


def _cells(picture: Floats, cells: tuple[int, int]) -> Floats:
    """Return the mean of each cell; [H, W, ...] to [h, w, ...]."""
    height, width = cells
    return np.asarray(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.float32
    )


def _only(flow: Floats, where: NDArray[np.bool_]) -> Floats:
    """Return a flow, [H, W, 2], that is 0 but in some cells, [h, w]."""
    height, width = flow.shape[:2]
    mask = cv2.resize(where.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.copyTo(flow, mask), np.float32)


def _grey(picture: Bytes) -> Bytes:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
