"""What the YUV of a decoded frame means, tagged or guessed; knows no pixels."""

from __future__ import annotations

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from streamgen.frame import Colour, Matrix

# Keys are the matrix coefficients of ITU-T H.273; FCC and SMPTE 240M go to their near relatives.
_MATRICES: dict[int, Matrix] = {
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "bt709",
    9: "bt2020",
    10: "bt2020",
}

# The numbers of ITU-T H.273 that mean something; the others are reserved or "unspecified".
_PRIMARIES = frozenset({1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22})
_TRANSFERS = frozenset({1, *range(4, 19)})

SWSCALE_MATRICES: dict[Matrix, Colorspace] = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
}


def guess_matrix(width: int, height: int) -> Matrix:
    """Return what players take an untagged video of this size to be."""
    return "bt709" if height >= 720 or width >= 1280 else "bt601"


def colour_of(frame: VideoFrame) -> Colour:
    """Read the tags of a frame; where it does not tell its matrix, guess that from its size."""
    matrix = _MATRICES.get(frame.colorspace) or guess_matrix(frame.width, frame.height)
    has_full_tag = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return Colour(
        matrix=matrix,
        full_range=has_full_tag and not frame.format.is_rgb,
        primaries=frame.color_primaries if frame.color_primaries in _PRIMARIES else None,
        transfer=frame.color_trc if frame.color_trc in _TRANSFERS else None,
    )
