"""The pictures that a model is scored on, as squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from streamgen.errors import ConfigError
from streamgen.frame import Pixels
from streamgen.sources import open_source
from streamgen.training.photos import TEST_PHOTOS

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
SAMPLE = Path(__file__).parents[2] / "samples" / "webcam.mp4"
SAMPLE_FRAMES = 4

Picture = Image.Image


def read_pictures(folder: Path | None) -> list[Picture]:
    """Return what to score on, at full size: photos of a folder, or frames of the packaged clip.

    Of a folder that has any of `TEST_PHOTOS`, only those: the others may have been trained on.
    Raises ConfigError for a folder without photos and for a file that is none.
    """
    if folder is None:
        return _sample_frames()
    if not folder.is_dir():
        raise ConfigError(f"photos {str(folder)!r}: there is no such folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ConfigError(f"photos {str(folder)!r}: has no picture ({', '.join(SUFFIXES)})")
    tested = [path for path in found if path.name in TEST_PHOTOS]
    return [_open(path) for path in tested or found]


def square(picture: Picture, side: int) -> Pixels:
    """Return the middle of a picture as uint8 [side, side, 3]."""
    return np.array(ImageOps.fit(picture, (side, side)))


def _open(path: Path) -> Picture:
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ConfigError(f"photo '{path}' cannot be read: {error}; remove the file") from error


def _sample_frames() -> list[Picture]:
    with open_source(str(SAMPLE)) as source:
        frames = [frame.pixels for frame in source.frames()]
    return [Image.fromarray(frames[k * len(frames) // SAMPLE_FRAMES]) for k in range(SAMPLE_FRAMES)]
