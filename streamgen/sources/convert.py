"""From a decoded frame to RGB pixels of the size asked for, in one pass; knows no files."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from streamgen.errors import SourceError
from streamgen.frame import Pixels
from streamgen.sources.colour import SWSCALE_MATRICES, colour_of
from streamgen.sources.geometry import Fit, Placement, Rect, Size, place, upright_size
from streamgen.sources.orientation import UPRIGHT, Orientation

# Without these two flags swscale is up to 2 levels off (white becomes 253).
_EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_SHRINK = Interpolation.AREA | _EXACT
_ENLARGE = Interpolation.BICUBIC | _EXACT
# swscale takes any gray as full range, so limited gray is widened here.
_WIDEN = np.clip((np.arange(256) - 16) * 255 / 219 + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stance:
    """How stored pixels become an upright picture: their aspect, then their orientation."""

    sample_aspect: Fraction | None = None
    orientation: Orientation = UPRIGHT

    def upright(self, coded: Size) -> Size:
        """Size of the picture as a player shows it."""
        transpose = self.orientation.transpose
        return upright_size(coded, sample_aspect=self.sample_aspect, transpose=transpose)


class Converter:
    """Turns frames of any size and format into RGB pixels of one size.

    It keeps swscale's tables from frame to frame: one converter per source.
    """

    def __init__(self, target: Size, *, fit: Fit) -> None:
        self._target = target
        self._fit: Fit = fit
        self._reformatter = VideoReformatter()

    def convert(self, frame: VideoFrame, stance: Stance) -> Pixels:
        """Return uint8 [H, W, 3] RGB, full range, C-contiguous; copied once at most."""
        upright = stance.upright(Size(frame.width, frame.height))
        placement = place(upright, self._target, fit=self._fit)
        transpose = stance.orientation.transpose
        scaled = placement.scaled.transposed if transpose else placement.scaled
        try:
            stored = self._scale(frame, scaled)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            size = f"{frame.width}x{frame.height}"
            raise SourceError(
                f"a {size} picture of format {frame.format.name} cannot be brought to"
                f" {self._target}: {error}"
            ) from error
        return _compose(stance.orientation.turn(stored), placement, self._target)

    def _scale(self, frame: VideoFrame, scaled: Size) -> Pixels:
        """Scale and convert in one pass; the result may be a view with padded rows."""
        is_shrunk = scaled.width <= frame.width and scaled.height < frame.height
        has_alpha = any(component.is_alpha for component in frame.format.components)
        converted = self._reformatter.reformat(
            frame,
            width=scaled.width,
            height=scaled.height,
            format="rgba" if has_alpha else "rgb24",
            interpolation=_SHRINK if is_shrunk else _ENLARGE,
            threads=1,
            dst_color_range=ColorRange.JPEG,
            **_meaning(frame),
        )
        pixels = cast(Pixels, converted.to_ndarray())
        if has_alpha:
            pixels = _over_black(pixels)
        if frame.format.name.startswith("gray") and frame.color_range == ColorRange.MPEG:
            pixels = _WIDEN[pixels]
        return pixels


def _meaning(frame: VideoFrame) -> dict[str, int]:
    """Return swscale's arguments for matrix and range of a frame; RGB needs none."""
    if frame.format.is_rgb or frame.format.has_palette:
        return {}
    colour = colour_of(frame)
    full_range = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
    return {"src_colorspace": SWSCALE_MATRICES[colour.matrix], "src_color_range": full_range}


def _over_black(rgba: Pixels) -> Pixels:
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def _compose(upright: Pixels, placement: Placement, target: Size) -> Pixels:
    part = _within(upright, placement.crop)
    if placement.content == Rect(0, 0, target.width, target.height):
        return np.ascontiguousarray(part)
    canvas = np.zeros((target.height, target.width, 3), np.uint8)
    _within(canvas, placement.content)[:] = part
    return canvas


def _within(pixels: Pixels, rect: Rect) -> Pixels:
    return pixels[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
