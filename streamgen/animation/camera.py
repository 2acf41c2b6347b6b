"""A camera that moves over a picture: where it looks in each frame, and what it sees there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamgen.errors import SourceError
from streamgen.frame import Pixels
from streamgen.sources import Size, SizeRule, open_source

#: How far a move goes in a frame, and in all: zoom in powers of e, ways in sides of the picture,
#: turns in radians. What is seen moves about as fast as in a film of a steady hand.
_ZOOM, _ZOOM_MOST = 0.01, math.log(1.5)
_WAY, _WAY_MOST = 0.008, 0.3
_TURN, _TURN_MOST = math.radians(0.6), math.radians(16)
#: The picture and what is seen of it are kept larger by this, so that nothing turns soft or coarse.
_FINER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Where a camera looks: x, y in sides from the middle, right and down; zoom of at least 1."""

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    angle: float = 0.0


#: What is looked at, of how far one is, 0 to 1; of how many frames there are and the aspect.
Way = Callable[[float], Look]
Move = Callable[[int, float], Way]


def _still(frames: int, aspect: float) -> Way:
    return lambda done: Look()


def _zoom(frames: int, aspect: float) -> Way:
    most = min(_ZOOM * frames, _ZOOM_MOST)
    return lambda done: Look(zoom=math.exp(most * done))


def _pan(x: float, y: float) -> Move:
    """Return the move from one edge to another, towards x, y."""

    def move(frames: int, aspect: float) -> Way:
        reach = min(_WAY * frames, _WAY_MOST)
        # As near as it takes to have that much of the picture outside.
        zoom = 1 / (1 - reach)
        return lambda done: Look(x=x * reach * (done - 0.5), y=y * reach * (done - 0.5), zoom=zoom)

    return move


def _roll(frames: int, aspect: float) -> Way:
    turn = min(_TURN * frames, _TURN_MOST)
    # As near as it takes for the corners to stay inside.
    zoom = math.cos(turn / 2) + max(aspect, 1 / aspect) * math.sin(turn / 2)
    return lambda done: Look(angle=turn * (done - 0.5), zoom=zoom)


def _backwards(move: Move) -> Move:
    def reverse(frames: int, aspect: float) -> Way:
        way = move(frames, aspect)
        return lambda done: way(1 - done)

    return reverse


STILL = "still"
MOVES: Mapping[str, Move] = {
    STILL: _still,
    "zoom-in": _zoom,
    "zoom-out": _backwards(_zoom),
    "pan-left": _pan(-1, 0),
    "pan-right": _pan(1, 0),
    "tilt-up": _pan(0, -1),
    "tilt-down": _pan(0, 1),
    "roll": _roll,
}


class Camera:
    """What a camera sees of a picture, frame by frame."""

    def __init__(self, ground: Pixels, move: Move, frames: int) -> None:
        """ground: as of `read_ground`."""
        self._ground = ground
        self._size = seen_size(ground)
        self._frames = frames
        self._way = move(frames, self._size.width / self._size.height)

    def seen(self, index: int) -> Pixels:
        """Return uint8 [H, W, 3] of a frame."""
        look = self._way(index / max(self._frames - 1, 1))
        if look == Look():
            wide = self._ground
        else:
            height, width = self._ground.shape[:2]
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            wide = np.asarray(
                cv2.warpAffine(
                    self._ground,
                    _places(look, width, height),
                    (width, height),
                    flags=flags,
                    borderMode=cv2.BORDER_REFLECT,
                ),
                np.uint8,
            )
        size = (self._size.width, self._size.height)
        return np.asarray(cv2.resize(wide, size, interpolation=cv2.INTER_AREA), np.uint8)


def read_ground(path: Path, size: Size | SizeRule) -> Pixels:
    """Return uint8 [2H, 2W, 3] of an image, or of a video's first frame; SourceError for others.

    size: of what is to be seen of it, or the rule that gives it for a picture's own.
    """
    if path.is_dir():
        raise SourceError(f"image '{path}' is a folder: give a file")
    if not path.is_file():
        raise SourceError(f"image '{path}': there is no such file")

    def finer(upright: Size) -> Size:
        seen = size if isinstance(size, Size) else size(upright)
        return Size(_FINER * seen.width, _FINER * seen.height)

    with open_source(path, size=finer) as source:
        for frame in source.frames():
            return frame.pixels
    raise SourceError(f"image '{path}': there is no picture in it")


def seen_size(ground: Pixels) -> Size:
    """Return the size of what a camera sees of a ground."""
    height, width = ground.shape[:2]
    return Size(width // _FINER, height // _FINER)


def _places(look: Look, width: int, height: int) -> NDArray[np.float64]:
    """Return what takes pixels of what is seen to those of the ground, [2, 3]."""
    c, s = math.cos(look.angle) / look.zoom, math.sin(look.angle) / look.zoom
    turned = np.array([[c, -s], [s, c]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    away = middle + np.array([look.x * width, look.y * height]) - turned @ middle
    return np.concatenate([turned, away[:, None]], axis=1)
