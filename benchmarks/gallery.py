"""Shows every style of a model on real pictures: contact sheets, short clips, a blind overview.

    python -m benchmarks.gallery DATA --out DIR [--model NAME] [--styles NAME,NAME] [--seed N]

No picture carries a caption: whoever looks should be able to name the style. DATA holds the photos
and clips that `benchmarks/stills.py` names, at any depth.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from benchmarks.excerpts import EXCERPTS, write_excerpt
from benchmarks.sheet import lay_out
from benchmarks.stills import STILLS, Draw, Origin, read_still
from benchmarks.understands import slug
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError, StreamgenError
from streamgen.frame import Pixels
from streamgen.models.evaluation.painter import Painter
from streamgen.training.photos import TEST_PHOTOS
from streamgen.training.styles import STYLES

SIDE_PX = 256
GALLERY_BYTES = 6 * 10**6
_QUALITY = 85
_SHEET_COLUMNS = 4
_OVERVIEW_COLUMNS = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0, 1 if the files are too large together, 2 for what the user can mend."""
    args = _parser().parse_args(argv)
    try:
        styles = _chosen(args.styles)
        pictures = [read_still(args.data, still, side_px=SIDE_PX) for still in STILLS]
        args.out.mkdir(parents=True, exist_ok=True)
        painter = Painter(StreamConfig(model=args.model, width=SIDE_PX, height=SIDE_PX))
        made = write_sheets(args.out, styles, pictures=pictures, draw=painter.draw)
        made += write_overview(
            args.out, styles, picture=pictures[0], draw=painter.draw, seed=args.seed
        )
        for excerpt in EXCERPTS:
            if excerpt.style in styles:
                made.append(args.out / f"{slug(excerpt.style)}.mp4")
                write_excerpt(made[-1], excerpt, data=args.data, pipeline=painter.pipeline)
        made.append(write_attributions(args.out))
    except StreamgenError as error:
        print(f"gallery: {error}", file=sys.stderr)
        return 2
    return report(made)


def write_sheets(
    folder: Path, styles: Iterable[str], *, pictures: Sequence[Pixels], draw: Draw
) -> list[Path]:
    """Write a sheet of the pictures themselves, and one of them in each style."""
    made = [folder / "original.jpg"]
    _save(lay_out(pictures, columns=_SHEET_COLUMNS), made[0])
    for style in styles:
        drawn = [draw(picture, style) for picture in pictures]
        made.append(folder / f"{slug(style)}.jpg")
        _save(lay_out(drawn, columns=_SHEET_COLUMNS), made[-1])
    return made


def write_overview(
    folder: Path, styles: Iterable[str], *, picture: Pixels, draw: Draw, seed: int
) -> list[Path]:
    """Write one picture in all styles in random order, and the order in a file of its own."""
    order = sorted(styles)
    random.Random(seed).shuffle(order)
    sheet = lay_out([draw(picture, style) for style in order], columns=_OVERVIEW_COLUMNS)
    rows = [
        f"row {start // _OVERVIEW_COLUMNS + 1}: "
        + ", ".join(order[start : start + _OVERVIEW_COLUMNS])
        for start in range(0, len(order), _OVERVIEW_COLUMNS)
    ]
    made = [folder / "overview.jpg", folder / "overview-key.txt"]
    _save(sheet, made[0])
    made[1].write_text("\n".join([*rows, f"seed {seed}", ""]), encoding="utf-8")
    return made


def write_attributions(folder: Path) -> Path:
    """Write where the pictures come from, and what was done to them."""
    shown = dict.fromkeys([still.origin for still in STILLS] + [each.origin for each in EXCERPTS])
    lines = [
        "# Where these pictures come from",
        "",
        "Changes to all of them: cut to a square, scaled to 256×256, redrawn by the model.",
        "Their authors endorse neither streamgen nor what is made with it.",
        "",
        "| file | source | licence | the model was trained on it |",
        "|---|---|---|---|",
        *map(_attribution, shown),
        "",
        "Order on a sheet, row by row: " + ", ".join(still.shows for still in STILLS) + ".",
        "",
    ]
    path = folder / "ATTRIBUTION.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _attribution(origin: Origin) -> str:
    trained = "no" if origin.file in TEST_PHOTOS else "yes"
    return f"| {origin.file} | {origin.source} | {origin.licence} | {trained} |"


def report(made: Sequence[Path]) -> int:
    """Print the files and their sizes; return 1 if they are too large together."""
    sizes = [path.stat().st_size for path in made]
    for path, size in zip(made, sizes, strict=True):
        print(f"{size / 1000:8.0f} kB  {path}")
    print(f"{sum(sizes) / 1000:8.0f} kB  of {GALLERY_BYTES // 1000} kB allowed")
    return 0 if sum(sizes) <= GALLERY_BYTES else 1


def _chosen(names: str | None) -> list[str]:
    """Return the styles asked for, all by default."""
    known = [style.name for style in STYLES]
    asked = known if names is None else names.split(",")
    for name in asked:
        if name not in known:
            raise ConfigError(f"--styles {name!r}: choose {', '.join(known)}")
    return asked


def _save(sheet: Image.Image, path: Path) -> None:
    # Every pixel with a colour of its own: thin coloured lines would grey otherwise.
    sheet.save(path, "JPEG", quality=_QUALITY, subsampling=0, optimize=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery", allow_abbrev=False)
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of photos and clips")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="what is made")
    parser.add_argument("--model", default="tiny", metavar="NAME", help="name or folder; tiny")
    parser.add_argument("--styles", metavar="NAME,NAME", help="all by default")
    parser.add_argument(
        "--seed",
        type=int,
        default=secrets.randbelow(10_000),
        metavar="N",
        help="of the overview's order; another one each time by default",
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
