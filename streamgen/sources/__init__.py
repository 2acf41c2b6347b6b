"""Where frames come from: one table from location to source; a new source is one row here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from streamgen.errors import SourceError
from streamgen.paths import asking_about
from streamgen.sources.geometry import (
    Fit,
    Placement,
    Rect,
    Size,
    check_fit,
    default_size,
    parse_size,
    place,
)
from streamgen.sources.protocol import SizeRule, Source, SourceOptions

__all__ = [
    "Fit",
    "Placement",
    "Rect",
    "Size",
    "SizeRule",
    "Source",
    "SourceOptions",
    "default_size",
    "is_live",
    "open_source",
    "parse_size",
    "place",
]

STILL_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def open_source(
    location: str | Path,
    *,
    size: Size | SizeRule | None = None,
    fit: Fit | None = None,
    rate: Fraction | None = None,
    clock: Callable[[], int] = time.monotonic_ns,
) -> Source:
    """Open what `location` names; SourceError says in one sentence why that is not possible.

    size: of the frames, or a rule from the size a player would show; None keeps that size.
    fit: crop (None), letterbox or stretch. rate: of folders of images, 25 unless told.
    """
    if rate is not None and rate <= 0:
        raise SourceError(f"rate {rate}: frames per second are more than 0")
    options = SourceOptions(size=size, fit=check_fit(fit or "crop"), rate=rate, clock=clock)
    text = str(location)
    for kind in KINDS:
        with asking_about(f"input {text!r}", SourceError):
            is_admitted = bool(text) and kind.admits(text)
        if is_admitted:
            return kind.open(text, options)
    known = ", ".join(kind.name for kind in KINDS)
    raise SourceError(f"input {text!r}: no such file or folder; allowed are {known}")


def is_live(location: str) -> bool:
    """Tell whether what `location` names goes on without waiting for whoever takes its frames."""
    return any(kind.is_live and kind.admits(location) for kind in KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of source: what it is called, which locations are its own, and how it opens.

    is_live: its frames come in their own time, whether anyone takes them or not.
    """

    name: str
    admits: Callable[[str], bool]
    open: Callable[[str, SourceOptions], Source]
    is_live: bool = False


def _open_pattern(location: str, options: SourceOptions) -> Source:
    from streamgen.sources.pattern import open_pattern

    return open_pattern(location, options)


def _open_words(location: str, options: SourceOptions) -> Source:
    from streamgen.sources.words import open_words

    return open_words(location, options)


def _open_camera(location: str, options: SourceOptions) -> Source:
    from streamgen.sources.camera import open_camera

    return open_camera(location, options)


def _open_screen(location: str, options: SourceOptions) -> Source:
    from streamgen.sources.screen import open_screen

    return open_screen(location, options)


def _open_folder(location: str, options: SourceOptions) -> Source:
    from streamgen.sources.images import open_folder

    return open_folder(Path(location), options)


def _open_still(location: str, options: SourceOptions) -> Source:
    from streamgen.sources.images import open_images

    return open_images([Path(location)], options)


def _open_file(location: str, options: SourceOptions) -> Source:
    from streamgen.sources.file import open_file

    return open_file(Path(location), options)


def _is_still(location: str) -> bool:
    return Path(location).suffix.lower() in STILL_SUFFIXES and Path(location).exists()


KINDS = (
    Kind(
        name="test:pattern or test:pattern?frames=120&size=640x360&rate=30",
        admits=lambda location: location.startswith("test:"),
        open=_open_pattern,
    ),
    Kind(
        name="words: or words:?frames=120 for models that need no picture",
        admits=lambda location: location.startswith("words:"),
        open=_open_words,
    ),
    Kind(
        name="camera: or camera:NAME?size=1280x720&rate=30",
        admits=lambda location: location.startswith("camera:"),
        open=_open_camera,
        is_live=True,
    ),
    Kind(
        name="screen: or screen:1?region=0,0,640x480&rate=30",
        admits=lambda location: location.startswith("screen:"),
        open=_open_screen,
        is_live=True,
    ),
    Kind(
        name="a folder of images",
        admits=lambda location: Path(location).is_dir(),
        open=_open_folder,
    ),
    Kind(name="an image file", admits=_is_still, open=_open_still),
    Kind(
        name="a video file",
        admits=lambda location: Path(location).exists(),
        open=_open_file,
    ),
)
