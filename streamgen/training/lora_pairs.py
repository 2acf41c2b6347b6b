"""Pairs of pictures that show a style: a photo, and the same drawn; knows no networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from streamgen.errors import ConfigError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
#: Larger pictures are shrunk to this shorter side, so that strokes are about as wide, in pixels, as
#: they will be drawn.
SHORTER_PX = 384
#: Of the contact sheet; as many pairs as it has are held back from training where there are many.
SHEET_PX = 256
SHEET_PAIRS = 4
#: One pair in so many is held back at most.
HELD_SHARE = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """photo, drawn: uint8 [3, H, W] of one shape."""

    name: str
    photo: Tensor
    drawn: Tensor


def read_pairs(photos: Path, drawn: Path, *, least_px: int) -> list[Pair]:
    """Read every drawing and the photo of the same name, but for the ending.

    least_px: what a side has at least. Raises ConfigError for a drawing without a photo, a pair of
    two sizes, a picture that cannot be read, and where there are none.
    """
    shots, drawings = _pictures(photos, "photos"), _pictures(drawn, "drawn")
    pairs = []
    for name, path in drawings.items():
        if name not in shots:
            raise ConfigError(
                f"drawn '{path}': {str(photos)!r} has no photo of the name {name!r}: add it, or"
                " remove the drawing"
            )
        photo, drawing = _read(shots[name], "photos"), _read(path, "drawn")
        if photo.shape != drawing.shape:
            raise ConfigError(
                f"drawn '{path}' is {_size(drawing)}, its photo {_size(photo)}: give both one size"
            )
        if min(photo.shape[1:]) < least_px:
            raise ConfigError(
                f"drawn '{path}' is {_size(drawing)}: give {least_px} pixels a side or more"
            )
        pairs.append(Pair(name=name, photo=photo, drawn=drawing))
    return pairs


def held_back(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Return pairs to learn from, and pairs to show.

    Those shown are not learned from where there are enough of them for that.
    """
    held = min(SHEET_PAIRS, len(pairs) // HELD_SHARE)
    if not held:
        return list(pairs), list(pairs[:SHEET_PAIRS])
    shown = pairs[:: len(pairs) // held][:held]
    names = {pair.name for pair in shown}
    return [pair for pair in pairs if pair.name not in names], list(shown)


def crops(
    pairs: Sequence[Pair], count: int, *, size_px: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cut the same random windows out of photos and drawings, some mirrored.

    Returns two float32 [count, 3, size_px, size_px] in [0, 1].
    """
    windows = [_window(_pick(pairs, generator), size_px, generator) for _ in range(count)]
    photo, drawn = torch.stack(windows, dim=1)
    return photo, drawn


def squares(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Return the middles of photos and drawings: two float32 [N, 3, 256, 256] in [0, 1]."""
    both = []
    for pair in pairs:
        picture = torch.stack([pair.photo, pair.drawn])
        side = min(picture.shape[2:])
        top, left = ((length - side) // 2 for length in picture.shape[2:])
        both.append(_resized(picture[..., top : top + side, left : left + side], SHEET_PX))
    photo, drawn = torch.stack(both, dim=1)
    return photo, drawn


def _pictures(folder: Path, title: str) -> dict[str, Path]:
    """Return the pictures of a folder by name, in its order."""
    if not folder.is_dir():
        raise ConfigError(f"{title} {str(folder)!r}: there is no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if path.stem in found:
            raise ConfigError(f"{title} '{path}' and '{found[path.stem]}': remove one of the two")
        found[path.stem] = path
    if not found:
        raise ConfigError(f"{title} {str(folder)!r}: has no pictures ({', '.join(SUFFIXES)})")
    return found


def _read(path: Path, title: str) -> Tensor:
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{title} '{path}' cannot be read: remove the file") from error
    shrinking = SHORTER_PX / min(upright.size)
    if shrinking < 1:
        width, height = (round(side * shrinking) for side in upright.size)
        upright = upright.resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(upright)).permute(2, 0, 1)


def _size(picture: Tensor) -> str:
    return f"{picture.shape[2]}x{picture.shape[1]}"


def _pick(pairs: Sequence[Pair], generator: torch.Generator) -> Pair:
    return pairs[int(torch.randint(0, len(pairs), (), generator=generator))]


def _window(pair: Pair, size_px: int, generator: torch.Generator) -> Tensor:
    """Return a window of a pair, [2, 3, size_px, size_px] in [0, 1]."""
    height, width = pair.photo.shape[1:]

    def whole(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    side = whole(size_px, min(height, width))
    top, left = whole(0, height - side), whole(0, width - side)
    picture = torch.stack([pair.photo, pair.drawn])[..., top : top + side, left : left + side]
    window = _resized(picture, size_px)
    return window.flip(-1) if whole(0, 1) else window


def _resized(picture: Tensor, side: int) -> Tensor:
    shape, is_shrunk = (side, side), picture.shape[-1] > side
    return F.interpolate(picture.float() / 255, size=shape, mode="bilinear", antialias=is_shrunk)
