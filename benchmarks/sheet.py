"""Pictures laid out beside each other for a person to look at, with names over them or without."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from streamgen.frame import Pixels

_TEXT_HEIGHT = 16
_GAP = 2


def write_sheet(path: Path, columns: Mapping[str, Sequence[Pixels]]) -> None:
    """Write one column per name, its pictures below each other; all pictures of one size."""
    rows = min(len(pictures) for pictures in columns.values())
    height, width = next(iter(columns.values()))[0].shape[:2]
    size = ((width + _GAP) * len(columns), _TEXT_HEIGHT + (height + _GAP) * rows)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, (name, pictures) in enumerate(columns.items()):
        x = column * (width + _GAP)
        draw.text((x + _GAP, _GAP), name, fill="black")
        for row in range(rows):
            picture = Image.fromarray(pictures[row])
            sheet.paste(picture, (x, _TEXT_HEIGHT + row * (height + _GAP)))
    sheet.save(path)


def lay_out(pictures: Sequence[Pixels], *, columns: int) -> Image.Image:
    """Return pictures of one size row by row, without a word on them."""
    height, width = pictures[0].shape[:2]
    rows = math.ceil(len(pictures) / columns)
    size = (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP)
    sheet = Image.new("RGB", size, "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(Image.fromarray(picture), (column * (width + _GAP), row * (height + _GAP)))
    return sheet
