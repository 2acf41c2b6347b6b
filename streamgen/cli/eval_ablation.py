"""`streamgen eval --ablate`: settings of the temporal memory side by side, on many clips."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine_facts, versions
from benchmarks.sheet import write_sheet
from streamgen.cli.json_report import save_report
from streamgen.cli.lora_options import check_loras, shelf_of
from streamgen.cli.motion_options import asked_model, check_motion
from streamgen.cli.options import (
    check_threads,
    controls_of,
    given_controls,
    read_prompt,
    stream_config,
)
from streamgen.cli.parser import several
from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.evaluation.ablation import PROMPTS, Ablation, Ask, ablate
from streamgen.evaluation.clips import Clip, find_files, moved_photos, read_clips
from streamgen.evaluation.pictures import sheet_rows, write_video
from streamgen.evaluation.settings import SETTINGS, Setting, find_settings
from streamgen.frame import Pixels
from streamgen.models.engines import Engines, load_engines
from streamgen.sources import Size
from streamgen.threads import use_threads

#: Of each clip, and their size, where nobody says otherwise.
CLIP_FRAMES = 96
SIZE = Size(256, 256)
#: Folder that means "none given": frames of the packaged clip are taken.
_PACKAGED = Path()
LEGEND = (
    "warp: error x1000; /fresh, /fixed: over theirs; /each: mean of each clip's over fixed's;"
    " kept: sharpness over fixed's; cost: time of a frame over fixed's, drawn in turns"
)
#: A sheet of many clips is large as .png.
SHEETS = (".png", ".webp", ".jpg")
#: Columns of the tables: a figure, its digits, and what it is multiplied with.
TABLES: Sequence[Mapping[str, tuple[str, int, float]]] = (
    {
        "warp": ("warp_error", 3, 1000),
        "/fresh": ("warp_error_to_fresh", 3, 1),
        "/fixed": ("warp_error_to_fixed", 3, 1),
        "/each": ("warp_error_to_fixed_each", 3, 1),
        "flicker": ("flicker", 2, 1),
        "sharp": ("sharpness", 3, 1),
        "kept": ("sharpness_to_fixed_each", 3, 1),
    },
    {
        "style": ("style_score", 3, 1),
        "distance": ("style_distance", 3, 1),
        "edge-SSIM": ("edge_ssim", 4, 1),
        "lag": ("lag", 4, 1),
        "drift": ("colour_drift", 2, 1),
        "frame ms": ("frame_ms", 1, 1),
        "cost": ("cost", 3, 1),
    },
)
_OPTIONS = ("settings", "sheet", "videos")


def add_ablation_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that compare settings."""
    group = parser.add_argument_group("settings side by side, with no frame left out")
    group.add_argument(
        "--ablate", nargs="+", type=Path, metavar="FOLDER", help="on these folders of clips"
    )
    group.add_argument(
        "--known-flow",
        nargs="?",
        type=Path,
        const=_PACKAGED,
        metavar="PHOTOS",
        help="on photos moved under a known camera; by default frames of the packaged clip",
    )
    group.add_argument(
        "--settings",
        type=several(str),
        metavar="NAME,…",
        help=f"of {', '.join(SETTINGS)}; all by default, of motion with an adapter",
    )
    group.add_argument(
        "--sheet",
        type=Path,
        metavar="PATH",
        help="a picture: a frame of each, and how steady it is",
    )
    group.add_argument("--videos", type=Path, metavar="DIR", help="a video of all, for each clip")


def check_ablation(args: argparse.Namespace) -> None:
    """Raise ConfigError for options that do not go together."""
    if args.ablate is None and args.known_flow is None:
        for name in _OPTIONS:
            if getattr(args, name) is not None:
                raise ConfigError(f"--{name} means nothing without --ablate or --known-flow")
        return
    if args.input is not None:
        raise ConfigError(f"{args.input!r}: with --ablate or --known-flow name no other video")
    if args.plot is not None:
        raise ConfigError("--plot means nothing to --ablate: measure one video")
    _settings(args)
    if args.sheet is not None and not args.sheet.parent.is_dir():
        raise ConfigError(f"--sheet '{args.sheet}': name a file in a folder that is there")
    if args.sheet is not None and args.sheet.suffix.lower() not in SHEETS:
        raise ConfigError(f"--sheet '{args.sheet}': name a file that ends in {', '.join(SHEETS)}")


def compare_settings(args: argparse.Namespace) -> int:
    """Draw all clips with all settings, print the table, write JSON, sheet and videos."""
    row, size = asked_model(args), args.size or SIZE
    row.check_size(size.width, size.height)
    check_threads(args)
    check_loras(args)
    check_motion(args)
    clips, ask, prompts = _clips(args, size), *_asking(args)
    if args.videos is not None:
        args.videos.mkdir(parents=True, exist_ok=True)
    names = list(_settings(args))
    console = Console(stderr=True)
    use_threads(args.threads)
    engines = load_engines(stream_config(args, size), shelf=shelf_of(args))
    sheet: dict[str, list[Pixels]] = {}

    def show(clip: Clip, prompt: str, drawings: Mapping[str, Sequence[Pixels]]) -> None:
        console.print(f"{clip.name}: {prompt}", highlight=False, markup=False)
        for name, pictures in sheet_rows(clip, drawings).items():
            sheet.setdefault(name, []).extend(pictures)
        if args.videos is not None:
            write_video(args.videos / f"{clip.name.replace(' ', '-')}.mp4", clip, drawings)

    found = ablate(engines, clips, settings=names, ask=ask, prompts=prompts, show=show)
    _print(found, Console(stderr=args.json == "-"))
    if args.sheet is not None:
        write_sheet(args.sheet, sheet)
    if args.json is not None:
        save_report(_as_json(args, found, engines=engines, size=size), args.json)
    return 0


def _settings(args: argparse.Namespace) -> Mapping[str, Setting]:
    return find_settings(args.settings or (), has_adapter=asked_model(args).has_motion)


def _clips(args: argparse.Namespace, size: Size) -> Iterator[Clip]:
    count = args.frames or CLIP_FRAMES
    files = find_files(args.ablate or ())
    photos: Iterator[Clip] = iter(())
    if args.known_flow is not None:
        if size.width != size.height:
            raise ConfigError(f"--known-flow draws squares: --size {size} is none")
        folder = None if args.known_flow == _PACKAGED else args.known_flow
        photos = moved_photos(folder, side=size.width, count=count, seed=0)
    return chain(read_clips(files, size=size, count=count), photos)


def _asking(args: argparse.Namespace) -> tuple[Ask, Sequence[str]]:
    """Return what makes the controls of a setting, and the prompts to take in turn."""
    given, row = given_controls(args), asked_model(args)
    asked = given.pop("prompts", None)
    prompts = [prompt["text"] for prompt in asked] if isinstance(asked, list) else list(PROMPTS)

    def ask(setting: str, prompt: str) -> Controls:
        chosen = SETTINGS[setting].controls(given)
        return controls_of(row, {**chosen, "prompts": [read_prompt(prompt)]})

    ask("fixed", prompts[0])
    return ask, prompts


def _print(found: Ablation, console: Console) -> None:
    rows = found.comparison()
    for part in TABLES:
        table = Table("setting", title=f"{len(found.clips)} clips")
        for heading in part:
            table.add_column(heading, justify="right")
        for name, row in rows.items():
            figures = [_told(row.get(key), digits, by) for key, digits, by in part.values()]
            table.add_row(name, *figures)
        console.print(table)
    console.print(LEGEND, highlight=False)
    own = _told(found.input_error, 3, 1000)
    console.print(f"the input's own warp error x1000: {own}", highlight=False)


def _told(value: float | None, digits: int, factor: float = 1) -> str:
    return "-" if value is None else f"{value * factor:.{digits}f}"


def _as_json(
    args: argparse.Namespace, found: Ablation, *, engines: Engines, size: Size
) -> dict[str, object]:
    """Return the figures and what they were measured with; names, not paths."""
    return {
        **found.as_json(),
        "config": {
            "model": engines.model.row.name,
            "size": str(size),
            "frames": args.frames or CLIP_FRAMES,
            "backend": engines.choice.backend.name,
            "precision": engines.described_precision,
            "device": engines.choice.device,
            "controls": {name: str(value) for name, value in given_controls(args).items()},
        },
        "machine": machine_facts(str(engines.device)),
        "versions": versions(),
    }
