"""Image files as a video: one, or a folder of them at a fixed rate; knows no video files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image, UnidentifiedImageError

from streamgen.errors import SourceError
from streamgen.frame import Colour, Frame, Stamp, VideoInfo
from streamgen.sources import STILL_SUFFIXES
from streamgen.sources.colour import guess_matrix
from streamgen.sources.convert import Converter, Stance
from streamgen.sources.geometry import Size, place
from streamgen.sources.orientation import from_exif
from streamgen.sources.protocol import Source, SourceOptions

DEFAULT_RATE = Fraction(25)
_EXIF_ORIENTATION = 274
_ANIMATED_FORMATS = ("PNG", "WEBP", "TIFF")


def open_folder(folder: Path, options: SourceOptions) -> ImagesSource:
    """Open the images of a folder, sorted as people count: 2 before 10."""
    try:
        entries = sorted(folder.iterdir(), key=natural_key)
        paths = [path for path in entries if _is_image(path)]
    except OSError as error:
        raise SourceError(f"folder '{folder}' cannot be read: {error.strerror}") from error
    if not paths:
        allowed = " ".join(STILL_SUFFIXES)
        raise SourceError(f"folder '{folder}' holds no images; allowed are {allowed}")
    return open_images(paths, options)


def open_images(paths: Sequence[Path], options: SourceOptions) -> ImagesSource:
    """Open image files as the frames of a video; the first one gives the size."""
    first, stance = read_image(paths[0])
    return ImagesSource(
        paths, upright=stance.upright(Size(first.width, first.height)), options=options
    )


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sorting key that takes digits in a name for numbers."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]


class ImagesSource(Source):
    """Each image is fitted to the one size, whatever its own."""

    def __init__(self, paths: Sequence[Path], *, upright: Size, options: SourceOptions) -> None:
        target = options.target(upright)
        rate = options.rate or DEFAULT_RATE
        self.info = VideoInfo(
            width=target.width,
            height=target.height,
            rate=rate,
            time_base=1 / rate,
            frame_count=len(paths),
            colour=Colour(matrix=guess_matrix(target.width, target.height)),
        )
        self.content = place(upright, target, fit=options.fit).content
        self.audio: Path | None = None
        self._paths = list(paths)
        self._converter = Converter(target, fit=options.fit)
        self._clock = options.clock

    def frames(self) -> Iterator[Frame]:
        """Yield one frame per image."""
        for index, path in enumerate(self._paths):
            picture, stance = read_image(path)
            pixels = self._converter.convert(picture, stance)
            time_base = self.info.time_base
            stamp = Stamp(index=index, pts=index, time_base=time_base, ingest_ns=self._clock())
            yield Frame(pixels=pixels, stamp=stamp)

    def close(self) -> None:
        """Nothing stays open between two images."""


def read_image(path: Path) -> tuple[VideoFrame, Stance]:
    """Decode an image file; SourceError if it is none or is cut off."""
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"image '{path}' is empty")
        with _opened(path) as image:
            _check_still(image, path)
            orientation = from_exif(image.getexif().get(_EXIF_ORIENTATION, 1))
            pixels = np.asarray(_eight_bit(image))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise SourceError(f"image '{path}' cannot be read: {error}") from error
    except Image.DecompressionBombError as error:
        raise SourceError(f"image '{path}' is too large: {error}") from error
    picture = VideoFrame.from_ndarray(pixels, format="rgba" if pixels.shape[2] == 4 else "rgb24")
    return picture, Stance(orientation=orientation)


def _opened(path: Path) -> Image.Image:
    with warnings.catch_warnings():
        # Pillow warns of half of what it refuses; a large photograph is none of the user's faults.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path)


def _check_still(image: Image.Image, path: Path) -> None:
    """Refuse an animation; a JPEG may hold a second picture (MPO), which is no frame."""
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format in _ANIMATED_FORMATS:
        raise SourceError(
            f"image '{path}' holds {count} frames, one is allowed; convert it to .mp4 or .gif"
        )


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return RGB, or RGBA where anything may be transparent."""
    if image.mode.startswith("I"):  # 16-bit gray, which convert() would clip
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _is_image(path: Path) -> bool:
    is_visible = not path.name.startswith(".")
    return is_visible and path.suffix.lower() in STILL_SUFFIXES and path.is_file()
