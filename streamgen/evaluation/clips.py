"""The clips that settings are compared on: files of folders, and photos under a known camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from streamgen.errors import ConfigError
from streamgen.evaluation.correspondence import Correspondence
from streamgen.evaluation.known_flow import known_clips
from streamgen.evaluation.measure import correspondences
from streamgen.frame import Pixels
from streamgen.models.evaluation.photos import read_pictures
from streamgen.sources import Size, open_source

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Frames of one size, and where the pixels of each but the first were before."""

    name: str
    frames: list[Pixels]
    known: Sequence[Correspondence]
    is_exact: bool = False


def find_files(folders: Sequence[Path]) -> list[Path]:
    """Return the video files of folders, or those named; ConfigError where there are none."""
    found: list[Path] = []
    for place in folders:
        if place.is_dir():
            files = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
        else:
            files = [place] if place.is_file() else []
        if not files:
            raise ConfigError(f"clips '{place}': name a file or a folder with {' '.join(SUFFIXES)}")
        found += files
    return found


def read_clips(files: Sequence[Path], *, size: Size, count: int) -> Iterator[Clip]:
    """Yield the first `count` frames of each file; the flow is estimated."""
    for path in files:
        frames = read_frames(path, size=size, count=count)
        if len(frames) < 3:
            raise ConfigError(f"clip '{path}' has {len(frames)} frames: at least 3 are measured")
        yield Clip(name=path.stem, frames=frames, known=correspondences(frames))


def read_frames(location: str | Path, *, size: Size | None, count: int | None) -> list[Pixels]:
    """Return the first frames of a source."""
    with open_source(location, size=size) as source:
        return [frame.pixels.copy() for frame in islice(source.frames(), count)]


def moved_photos(folder: Path | None, *, side: int, count: int, seed: int) -> Iterator[Clip]:
    """Yield a clip of each photo of a folder, or of frames of the packaged clip, flow known."""
    pictures = read_pictures(folder)
    photos = {f"photo {k}": np.array(picture) for k, picture in enumerate(pictures, start=1)}
    for clip in known_clips(photos, side=side, count=count, seed=seed):
        yield Clip(name=clip.name, frames=clip.frames, known=clip.known, is_exact=True)
