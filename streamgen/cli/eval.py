"""`streamgen eval`: how steady, sharp and true a redrawn video is; settings side by side."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.plot import check_plot
from streamgen.cli.effects import check_effects
from streamgen.cli.eval_ablation import (
    CLIP_FRAMES,
    add_ablation_options,
    check_ablation,
    compare_settings,
)
from streamgen.cli.json_report import check_report, save_report
from streamgen.cli.lora_options import check_loras, shelf_of
from streamgen.cli.motion_options import asked_model, check_motion
from streamgen.cli.options import (
    add_control_options,
    add_engine_options,
    check_threads,
    controls_of,
    flag,
    given_controls,
    size_rule,
    stream_config,
)
from streamgen.cli.parser import whole_number
from streamgen.controls import Controls
from streamgen.errors import ConfigError
from streamgen.evaluation.ablation import numbers
from streamgen.evaluation.clips import read_frames
from streamgen.evaluation.measure import Figures, measure
from streamgen.evaluation.plot import draw_figures
from streamgen.evaluation.redraw import Redrawn, redraw_clip
from streamgen.evaluation.style import StyleJudge, style_of
from streamgen.frame import Pixels
from streamgen.models.engines import load_engines
from streamgen.models.registry import find_model
from streamgen.sources import Size, open_source, parse_size
from streamgen.threads import use_threads

#: Frames that are measured where nobody says how many, and at most: they are kept in memory.
FRAMES, MOST_FRAMES = 600, 100_000
#: What a figure is multiplied with, and how many digits it has, where it is printed.
FORMS: dict[str, tuple[str, float, int]] = {
    "warp_error": ("warp error x1000", 1000, 3),
    "input_warp_error": ("warp error of the input x1000", 1000, 3),
    "flicker": ("flicker beyond the input's, levels", 1, 2),
    "sharpness": ("sharpness, input = 1", 1, 3),
    "edge_ssim": ("edge-SSIM to the input", 1, 3),
    "lag": ("lag, above 0 is in time", 1, 4),
    "colour_drift": ("colour drift, Delta E", 1, 2),
    "known_share": ("share of pixels with known flow", 1, 2),
    "style_score": ("frames in the style asked for", 1, 2),
    "style_distance": ("distance to the style", 1, 3),
    "frame_ms": ("frame, ms", 1, 1),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("input", metavar="IN", nargs="?", help="video file or folder of images")
    parser.add_argument(
        "output",
        metavar="OUT",
        nargs="?",
        help="what was drawn of it; without it, it is drawn now, with the controls given",
    )
    parser.add_argument(
        "--frames",
        type=whole_number(3, MOST_FRAMES),
        metavar="N",
        help=f"the first N; {FRAMES} by default, of each of several clips {CLIP_FRAMES}",
    )
    parser.add_argument("--size", type=parse_size, metavar="WxH", help="256 or 448x256")
    add_ablation_options(parser)
    add_control_options(parser)
    add_engine_options(parser)
    result = parser.add_argument_group("result")
    result.add_argument("--json", metavar="PATH", help="write the figures there; - prints them")
    result.add_argument("--plot", type=Path, metavar="PATH.png", help="draw them over time")


def execute(args: argparse.Namespace) -> int:
    """Measure, print a table, write JSON and plot; return 0."""
    check_report(args.json)
    check_ablation(args)
    if args.ablate is not None or args.known_flow is not None:
        return compare_settings(args)
    if args.input is None:
        raise ConfigError("eval: name a video, or --ablate FOLDER, or --known-flow")
    if args.plot is not None:
        check_plot(args.plot)
    controls = controls_of(asked_model(args), given_controls(args))
    check_loras(args)
    check_motion(args)
    if args.output is None:
        given, drawn = _draw(args, controls)
    else:
        given, frames = _read(args)
        drawn = Redrawn(frames=frames, laps_ms=[0.0])
    figures = measure(given, drawn.frames)
    _report(args, figures, given, drawn=drawn, controls=controls)
    return 0


def _draw(args: argparse.Namespace, controls: Controls) -> tuple[list[Pixels], Redrawn]:
    """Return the frames of the input and what the model makes of them."""
    row = asked_model(args)
    check_effects(given_controls(args), controls)
    check_threads(args)
    if args.size is not None:
        row.check_size(args.size.width, args.size.height)
    with open_source(args.input, size=args.size or size_rule(row)) as source:
        size = Size(source.info.width, source.info.height)
    frames = read_frames(args.input, size=size, count=args.frames or FRAMES)
    with Console(stderr=True).status(f"drawing {len(frames)} frames"):
        use_threads(args.threads)
        engines = load_engines(stream_config(args, size), shelf=shelf_of(args))
        return frames, redraw_clip(engines, frames, controls)


def _read(args: argparse.Namespace) -> tuple[list[Pixels], list[Pixels]]:
    """Return the frames of the input, at the size of those that were drawn, and these."""
    wrong = [name for name in given_controls(args) if name != "prompts"]
    if wrong:
        raise ConfigError(f"{flag(wrong[0])} has no effect: {args.output!r} is drawn already")
    drawn = read_frames(args.output, size=args.size, count=args.frames or FRAMES)
    if not drawn:
        raise ConfigError(f"{args.output!r} has no frames: name a video")
    height, width = drawn[0].shape[:2]
    return read_frames(args.input, size=Size(width, height), count=args.frames or FRAMES), drawn


def _report(
    args: argparse.Namespace,
    figures: Figures,
    given: list[Pixels],
    *,
    drawn: Redrawn,
    controls: Controls,
) -> None:
    style = style_of(controls, find_model(args.model))
    look = None if style is None else StyleJudge(given).judge(drawn.frames, style)
    found = numbers(figures, drawn if args.output is None else None, look)
    found |= {"input_warp_error": figures.input_warp_error, "known_share": figures.known_share}
    table = Table("figure", title=f"{args.output or args.input}, {figures.frames} frames")
    table.add_column("value", justify="right")
    for name, (words, factor, digits) in FORMS.items():
        value = found[name]
        if value is not None:
            table.add_row(words, f"{value * factor:.{digits}f}")
    Console(stderr=args.json == "-").print(table)
    if args.json is not None:
        save_report({**asdict(figures), **found}, args.json)
    if args.plot is not None:
        draw_figures(figures, args.plot, title=str(args.output or args.input))
