"""Writes what the built-in model understands, and a thumbnail of each style drawn by the model.

    python -m benchmarks.understands [--model NAME] [--out DIR] [--words-only]

Run it after new weights, or a change of the styles: tests compare what it writes with the package.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.clip import SAMPLE
from benchmarks.stills import Draw
from streamgen.config import StreamConfig
from streamgen.errors import ConfigError, StreamgenError
from streamgen.frame import Pixels
from streamgen.models.evaluation.painter import Painter
from streamgen.models.registry import PACKAGED
from streamgen.models.vocabulary import FILE, Range, StyleWord, Vocabulary, Word
from streamgen.sources import open_source
from streamgen.training.styles import ACCENTS, STYLES, Style, worlds

SIDE_PX = 256
THUMBNAIL_PX = 256
THUMBNAIL_BYTES = 16 * 1024
#: Of the sample clip: face and both hands.
_FRAME, _LEFT, _TOP = 45, 100, 5
_FOLDER = "thumbnails"
_ORIGINAL = f"{_FOLDER}/original.webp"
#: What of the accents is a light; the others are palettes.
_LIGHTS = ("at night", "bright")
_EXAMPLES = (
    "watercolor",
    "a portrait of a woman, oil painting",
    "make me look like a comic book",
    "pencil sketch, warm colors",
    "my hands as gold relief",
    "stained glass at night",
    "a street in cyberpunk style",
    "paper cut of a garden, pastel colors",
    "vivid colors",
)
_USEFUL = {
    "strength": Range(
        low=0, high=0.8, about="0 leaves the picture, 0.8 is all style; more changes little."
    ),
    "steps": Range(low=1, high=4, about="1 is good and fastest, 4 are finer."),
    "guidance_scale": Range(
        low=1, high=2, about="1 is plain, more exaggerates; needed for a negative prompt."
    ),
}
_SIZES = Range(low=192, high=512, about="Strokes keep their width in pixels.")


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0, or 2 for what the user can mend."""
    args = _parser().parse_args(argv)
    try:
        if not args.out.is_dir():
            raise ConfigError(f"--out '{args.out}': there is no such folder: name a model's folder")
        (args.out / FILE).write_text(describe().as_json(), encoding="utf-8")
        print(args.out / FILE)
        if not args.words_only:
            painter = Painter(StreamConfig(model=args.model, width=SIDE_PX, height=SIDE_PX))
            for path in write_thumbnails(args.out, painter.draw):
                print(f"{path} {path.stat().st_size} bytes")
    except StreamgenError as error:
        print(f"understands: {error}", file=sys.stderr)
        return 2
    return 0


def describe() -> Vocabulary:
    """Return what the styles and accents of the training tell."""
    lights = [accent for accent in ACCENTS if accent.name in _LIGHTS]
    return Vocabulary(
        model="tiny",
        styles=tuple(map(_style_word, STYLES)),
        palettes=tuple(_word(accent) for accent in ACCENTS if accent not in lights),
        lights=tuple(map(_word, lights)),
        combining="Name one style, one palette or light, or one of each, in any order and in any"
        " sentence; other words change little. Give several prompts with weights to blend styles.",
        examples=_EXAMPLES,
        empty_prompt="The picture stays as it is.",
        useful=_USEFUL,  # type: ignore[arg-type]  # checked by pydantic
        sizes=_SIZES,
        original=_ORIGINAL,
    )


def _style_word(style: Style) -> StyleWord:
    about = (style.draw.__doc__ or "").strip().partition("\n")[0]
    return StyleWord(
        name=style.name,
        synonyms=style.words[1:],
        description=about,
        # Filters of colour and light have a module of their own.
        beyond_colour_table=style.draw.__module__ != worlds.__name__,
        thumbnail=f"{_FOLDER}/{slug(style.name)}.webp",
    )


def _word(accent: Style) -> Word:
    return Word(name=accent.name, synonyms=accent.words[1:])


def slug(name: str) -> str:
    """Return a name as part of a file's name."""
    return name.replace(" ", "-")


def write_thumbnails(folder: Path, draw: Draw) -> list[Path]:
    """Draw the frame in every style into a model's folder; remove what is no style's any more."""
    vocabulary, frame = describe(), thumbnail_frame()
    pictures = {vocabulary.original: frame}
    pictures |= {style.thumbnail: draw(frame, style.name) for style in vocabulary.styles}
    (folder / _FOLDER).mkdir(exist_ok=True)
    for path in (folder / _FOLDER).glob("*.webp"):
        path.unlink()
    for name, pixels in pictures.items():
        (folder / name).write_bytes(as_thumbnail(pixels))
    return [folder / name for name in pictures]


def thumbnail_frame() -> Pixels:
    """Return the piece of the sample clip that is drawn: [256, 256, 3]."""
    with open_source(SAMPLE) as source:
        [pixels] = [frame.pixels for frame in source.frames() if frame.stamp.index == _FRAME]
    piece = pixels[_TOP : _TOP + SIDE_PX, _LEFT : _LEFT + SIDE_PX]
    return np.ascontiguousarray(piece)


def as_thumbnail(pixels: Pixels) -> bytes:
    """Return a picture as WebP of the thumbnails' size, as good as their bytes allow."""
    small = Image.fromarray(pixels).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    for quality in range(90, 0, -5):
        file = io.BytesIO()
        small.save(file, "WEBP", quality=quality, method=6)
        if file.tell() <= THUMBNAIL_BYTES:
            break
    return file.getvalue()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.understands", allow_abbrev=False)
    parser.add_argument("--model", default="tiny", metavar="NAME", help="who draws; tiny")
    parser.add_argument("--out", type=Path, default=PACKAGED / "tiny", metavar="DIR")
    parser.add_argument("--words-only", action="store_true", help="draw no thumbnails")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
