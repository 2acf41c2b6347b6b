"""Pictures side by side with a line of text over each, for a person to look at."""

from __future__ import annotations

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
