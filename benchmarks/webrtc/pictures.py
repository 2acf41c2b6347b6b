"""What the clients send: pictures of the clip that ships, the usual work of an encoder."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image

from benchmarks.clip import SAMPLE, read_clip
from streamgen.frame import Pixels
from streamgen.sources import Size
from streamgen.sources.convert import Converter

FPS = 30
#: Shown forth and back; one second of the clip.
COUNT = 30


def pictures(size: Size, *, count: int = COUNT) -> list[Pixels]:
    """Return the first pictures of the clip, uint8 [H, W, 3] of that size."""
    clip = read_clip(SAMPLE, limit=count)
    converter = Converter(size, fit="crop")
    return [converter.convert(picture, clip.stance).copy() for picture in clip.pictures]


def forth_and_back(pictures: Sequence[Pixels], number: int) -> Pixels:
    """Return a picture by its number, of a film that has no end and no cut."""
    turn = number % (2 * len(pictures))
    return pictures[min(turn, 2 * len(pictures) - 1 - turn)]


def as_jpegs(pictures: Sequence[Pixels]) -> list[str]:
    """Return them as JPEGs in base64, for a page."""
    made = []
    for pixels in pictures:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        made.append(base64.b64encode(buffer.getvalue()).decode())
    return made
