"""Drawings of a clip by several settings, side by side, for a person to look at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from streamgen.evaluation.clips import Clip
from streamgen.evaluation.correspondence import Correspondence, moved
from streamgen.frame import Colour, Frame, Pixels, Stamp, VideoInfo
from streamgen.sinks import open_sink

#: Longest side of a picture on a sheet, and how much a difference is made brighter.
SHEET_PX = 128
GAIN = 6
RATE = 25

Drawings = Mapping[str, Sequence[Pixels]]


def sheet_rows(clip: Clip, drawings: Drawings) -> dict[str, list[Pixels]]:
    """Return two small pictures of the input and of each drawing, by name.

    The frame in the middle, and how it differs from the one before, moved there by the input's
    flow: black is steady; what nobody can know is black, too.
    """
    middle = len(clip.frames) // 2
    known = clip.known[middle - 1]
    rows = {}
    for name, frames in {"input": clip.frames, **drawings}.items():
        steady = unsteadiness(frames[middle - 1], frames[middle], known)
        rows[name] = [_small(frames[middle]), _small(steady)]
    return rows


def unsteadiness(before: Pixels, after: Pixels, known: Correspondence) -> Pixels:
    """Return the difference of two frames in a row, brightened, where the flow is known."""
    difference = np.abs(moved(before, known.flow) - after) * known.is_known[..., None]
    bright: Pixels = np.clip(difference * GAIN, 0, 255).astype(np.uint8)
    return bright


def write_video(path: Path, clip: Clip, drawings: Drawings) -> list[str]:
    """Write the input and the drawings into one video, row by row; return their names in order."""
    tiles = {"input": clip.frames, **drawings}
    pictures = [_tiled(list(frames)) for frames in zip(*tiles.values(), strict=True)]
    height, width = pictures[0].shape[:2]
    info = VideoInfo(
        width=width,
        height=height,
        rate=Fraction(RATE),
        time_base=Fraction(1, RATE),
        frame_count=len(pictures),
        colour=Colour(matrix="bt709"),
    )
    with open_sink(str(path), info, overwrite=True) as sink:
        for index, picture in enumerate(pictures):
            stamp = Stamp(index=index, pts=index, time_base=info.time_base, ingest_ns=0)
            sink.write(Frame(pixels=picture, stamp=stamp))
        sink.finish()
    return list(tiles)


def _tiled(frames: Sequence[Pixels]) -> Pixels:
    """Return pictures of one size in rows, as wide as high."""
    columns = math.ceil(math.sqrt(len(frames)))
    rows = math.ceil(len(frames) / columns)
    height, width = frames[0].shape[:2]
    tiled = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, frame in enumerate(frames):
        top, left = (number // columns) * height, (number % columns) * width
        tiled[top : top + height, left : left + width] = frame
    return tiled


def _small(frame: Pixels) -> Pixels:
    scale = SHEET_PX / max(frame.shape[:2])
    if scale >= 1:
        return frame
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
