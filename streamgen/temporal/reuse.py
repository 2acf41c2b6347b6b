"""Leaves the parts of a picture that have not changed as they are drawn; knows no networks.

Each stage of the autoencoder compares what it is given with what it was last given, place by place
(FluxRT keeps tokens by such a comparison), and computes one box around all that differs. So it
needs not be told of a cut, of another prompt or of other controls: they show in what it is given.
The denoiser, which sees the picture as a whole, is always run on all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamgen.frame import Pixels

#: Levels of 255, root of mean square in a cell: the noise of a good camera is below it.
SAME_PIXELS = 4.0
#: Distance of latents, of about unit variance; a few levels in the picture.
SAME_LATENT = 0.03
#: Cells around a change that it reaches into, through either stage.
REACH = 3
#: Cells around those that a stage has to see for them to be as on the whole picture, to a level.
MARGIN = 3


class Autoencoder(Protocol):
    """Both stages on whole pictures, as `streamgen.models.engines.Engines` has them."""

    def encode(self, pixels: Pixels) -> Tensor: ...
    def decode(self, latents: Tensor) -> Pixels: ...


class Crops(Protocol):
    """Both stages on crops, as `streamgen.models.crops.AutoencoderCrops` has them."""

    def size_for(self, height: int, width: int) -> tuple[int, int] | None:
        """Return the size, in cells, of the least crop that has these sides; None for the whole."""

    def encode(self, pixels: Pixels) -> Tensor: ...
    def decode(self, latent: Tensor) -> Pixels: ...


@dataclass(slots=True, kw_only=True, eq=False)
class Drawn:
    """What one stream's last picture was drawn of, stage by stage, and by whom.

    pixels: uint8 [H, W, 3], each part as it was when it was encoded; source: [C, h, w], of it.
    latent: [C, h, w], each part as it was when it was decoded; picture: uint8 [H, W, 3], of it.
    """

    pixels: Pixels | None = None
    source: Tensor | None = None
    latent: Tensor | None = None
    picture: Pixels | None = None
    by: object = None

    def forget(self) -> None:
        """Have the next picture drawn as a whole."""
        self.pixels = self.source = self.latent = self.picture = self.by = None


class Box(NamedTuple):
    """A part of a picture, in cells; the ends are outside."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, by: int, cells: tuple[int, int]) -> Box:
        """Return it with a border, as far as there is picture."""
        height, width = cells
        return Box(
            max(self.top - by, 0),
            max(self.left - by, 0),
            min(self.bottom + by, height),
            min(self.right + by, width),
        )

    def of_size(self, size: tuple[int, int], cells: tuple[int, int]) -> Box:
        """Return a box of a size, as large at least, that has all of it and is in the picture."""
        top = min(self.top, cells[0] - size[0])
        left = min(self.left, cells[1] - size[1])
        return Box(top, left, top + size[0], left + size[1])

    def slices(self, side: int = 1) -> tuple[slice, slice]:
        """Return its rows and columns, where a cell has `side` of them."""
        return (
            slice(self.top * side, self.bottom * side),
            slice(self.left * side, self.right * side),
        )


class Reuse:
    """Encodes and decodes for the streams of one pipeline, in part where a stream allows that."""

    def __init__(self, whole: Autoencoder, crops: Crops | None) -> None:
        self._whole = whole
        self._crops = crops

    @property
    def is_able(self) -> bool:
        """Whether a part of a picture can be drawn at all."""
        return self._crops is not None

    def encode(self, asked: Sequence[tuple[Drawn | None, Pixels]]) -> list[Tensor]:
        """Return the latent, [C, h, w], of each picture, uint8 [H, W, 3]: None asks for all of it.

        Pictures that are encoded as a whole go in one call.
        """
        plain = [pixels for drawn, pixels in asked if drawn is None]
        latents = iter(self._whole.encode(np.stack(plain)) if plain else ())
        return [next(latents) if each is None else self._encoded(each, it) for each, it in asked]

    def decode(self, asked: Sequence[tuple[Drawn | None, Tensor]]) -> list[Pixels]:
        """Return the picture, uint8 [H, W, 3], of each latent, [C, h, w]; as `encode` does."""
        plain = [latent for drawn, latent in asked if drawn is None]
        pictures = iter(self._whole.decode(torch.stack(plain)) if plain else ())
        return [next(pictures) if each is None else self._decoded(each, it) for each, it in asked]

    def _encoded(self, drawn: Drawn, pixels: Pixels) -> Tensor:
        self._own(drawn)
        if drawn.pixels is None or drawn.source is None or drawn.pixels.shape != pixels.shape:
            return self._encoded_anew(drawn, pixels)
        cells = drawn.source.shape[1], drawn.source.shape[2]
        side = pixels.shape[0] // cells[0]
        changed = box_around(other_pixels(drawn.pixels, pixels, side))
        if changed is None:
            return drawn.source
        seen = self._seen(changed.grown(REACH, cells), cells)
        if seen is None or self._crops is None:
            return self._encoded_anew(drawn, pixels)
        rows, columns = changed.slices(side)
        drawn.pixels[rows, columns] = pixels[rows, columns]
        rows, columns = seen.slices(side)
        part = self._crops.encode(np.ascontiguousarray(drawn.pixels[rows, columns]))
        drawn.source = drawn.source.clone()  # frames under way have the one before
        _paste(drawn.source, part.to(drawn.source), changed.grown(REACH, cells), seen)
        return drawn.source

    def _decoded(self, drawn: Drawn, latent: Tensor) -> Pixels:
        self._own(drawn)
        # What is not finite is for the whole way to refuse.
        if drawn.latent is None or drawn.picture is None or not bool(latent.isfinite().all()):
            return self._decoded_anew(drawn, latent)
        cells = latent.shape[1], latent.shape[2]
        changed = box_around(other_latent(drawn.latent, latent))
        if changed is None:
            return drawn.picture.copy()
        seen = self._seen(changed.grown(REACH, cells), cells)
        if seen is None or self._crops is None:
            return self._decoded_anew(drawn, latent)
        rows, columns = changed.slices()
        drawn.latent[:, rows, columns] = latent[:, rows, columns]
        rows, columns = seen.slices()
        part = torch.from_numpy(self._crops.decode(drawn.latent[:, rows, columns]))
        side = drawn.picture.shape[0] // cells[0]
        canvas = torch.from_numpy(drawn.picture).permute(2, 0, 1)
        _paste(canvas, part.permute(2, 0, 1), changed.grown(REACH, cells), seen, side=side)
        return drawn.picture.copy()

    def _seen(self, target: Box, cells: tuple[int, int]) -> Box | None:
        """Return what to crop for a target to come out as on the whole; None: crop nothing."""
        if self._crops is None:
            return None
        needed = target.grown(MARGIN, cells)
        size = self._crops.size_for(needed.bottom - needed.top, needed.right - needed.left)
        return None if size is None else needed.of_size(size, cells)

    def _own(self, drawn: Drawn) -> None:
        """Forget what other networks drew: theirs may be of another model."""
        if drawn.by is not self:
            drawn.forget()
            drawn.by = self

    def _encoded_anew(self, drawn: Drawn, pixels: Pixels) -> Tensor:
        drawn.pixels, drawn.source = pixels.copy(), self._whole.encode(pixels[None])[0].clone()
        return drawn.source

    def _decoded_anew(self, drawn: Drawn, latent: Tensor) -> Pixels:
        drawn.latent, drawn.picture = latent.clone(), self._whole.decode(latent[None])[0].copy()
        return drawn.picture.copy()


def other_pixels(a: Pixels, b: Pixels, side: int) -> NDArray[np.bool_]:
    """Tell in which cells of `side` pixels two pictures, uint8 [H, W, 3], differ; [h, w]."""
    height, width = a.shape[0] // side, a.shape[1] // side
    apart = a.astype(np.int16) - b
    powers = np.square(apart, dtype=np.int32).reshape(height, side, width, side, 3)
    differs: NDArray[np.bool_] = (powers.mean(axis=(1, 3)) > SAME_PIXELS**2).any(axis=2)
    return differs


def other_latent(a: Tensor, b: Tensor) -> NDArray[np.bool_]:
    """Tell in which cells two latents, [C, h, w], differ; [h, w]."""
    differs: NDArray[np.bool_] = ((a - b).abs() > SAME_LATENT).any(dim=0).cpu().numpy()
    return differs


def box_around(mask: NDArray[np.bool_]) -> Box | None:
    """Return the least box with all that is true of [h, w]; None where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _paste(canvas: Tensor, part: Tensor, target: Box, seen: Box, *, side: int = 1) -> None:
    """Put into [C, ...] what a crop, of the box `seen`, has of the box `target`."""
    rows, columns = target.slices(side)
    down, right = seen.top * side, seen.left * side
    inner = part[
        :,
        rows.start - down : rows.stop - down,
        columns.start - right : columns.stop - right,
    ]
    canvas[:, rows, columns] = inner
