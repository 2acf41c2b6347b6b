"""`streamgen run IN OUT`: redraws every frame of a source into a sink."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from streamgen.cli import EXIT_INTERRUPTED, realtime
from streamgen.cli.effects import check_effects
from streamgen.cli.interruption import Interruption
from streamgen.cli.lora_options import check_loras, shelf_of
from streamgen.cli.models import is_here
from streamgen.cli.motion_options import asked_model, check_motion, motion_notes
from streamgen.cli.options import (
    add_control_options,
    add_engine_options,
    check_threads,
    controls_of,
    given_controls,
    size_rule,
    stream_config,
)
from streamgen.cli.parser import whole_number
from streamgen.cli.progress import frame_progress
from streamgen.controls import Controls
from streamgen.drawing import Drawing
from streamgen.errors import ConfigError, SourceError
from streamgen.frame import VideoInfo
from streamgen.gate import SimilarityGate
from streamgen.models.engines import Engines, load_engines
from streamgen.models.registry import ModelRow
from streamgen.offline import (
    Artist,
    Finished,
    Redrawn,
    SourceBroke,
    only_within,
    redraw,
    with_input,
)
from streamgen.pipeline import Pipeline
from streamgen.realtime import Played, at_wall_clock
from streamgen.sinks import VIDEO_SUFFIXES, H264Options, Sink, open_sink
from streamgen.sources import Size, Source, open_source, parse_size
from streamgen.threads import use_threads

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "input",
        metavar="IN",
        help="video file, image, folder of images, camera:, screen:, test:pattern?frames=120,"
        " words:?frames=120",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        help=".mp4 or .mov file, folder (ends with /), window:, null: keeps nothing",
    )
    add_control_options(parser)
    add_engine_options(parser)
    picture = parser.add_argument_group("picture")
    picture.add_argument(
        "--size", type=parse_size, metavar="WxH", help="256 or 448x256; by default the model's best"
    )
    picture.add_argument("--fit", metavar="{crop,letterbox,stretch}", help="crop by default")
    picture.add_argument("--compare", action="store_true", help="put the input on the left")
    picture.add_argument(
        "--frame-buffer",
        type=whole_number(1, 64),
        default=1,
        metavar="N",
        help="frames that are drawn together: more throughput, more memory; 1 by default",
    )
    picture.add_argument(
        "--limit", type=whole_number(1, sys.maxsize), metavar="N", help="frames at most"
    )
    picture.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    picture.add_argument(
        "--crf", type=whole_number(0, 51), metavar="N", help="0 lossless to 51 small, 18 by default"
    )
    realtime.add_arguments(parser)


def execute(args: argparse.Namespace) -> int:
    """Redraw the input; return 0, or 130 where it was stopped and the output is shorter."""
    row = asked_model(args)
    controls = _checked_controls(args, row)
    is_live = realtime.is_asked(args)
    with (
        Interruption() as interruption,
        _open_source(args, row, is_live=is_live) as source,
        _open_sink(args, source, is_live=is_live) as sink,
    ):
        engines = _load(args, row, source.info)
        pipeline = Pipeline(engines)
        stream = pipeline.open_stream(args.input, controls, has_picture=source.has_picture)
        drawing = Drawing(pipeline, stream, frame_buffer=args.frame_buffer)
        began = time.monotonic()
        interruption.be_gentle()
        logger.info("drawing %s as %s", args.input, [prompt.text for prompt in controls.prompts])
        perform = realtime.play if is_live else _redraw
        artist = _artist(args, source, drawing)
        done = perform(args, source, sink, artist=artist, stop=interruption)
        # Here, not on leaving: if this is interrupted, leaving removes what was written.
        sink.finish()
        seconds = time.monotonic() - began
    notes = [*motion_notes(engines), *_gate_notes(stream.gate, seconds), *sink.notes]
    if isinstance(done, Played):
        notes = [*realtime.notes(args, done, source), *notes]
    _report(args, engines, done, seconds=seconds, seed=controls.seed, notes=notes)
    if isinstance(done, Played) and done.error is not None:
        raise SourceError(f"{done.error}; what was drawn before is complete") from done.error
    return 0 if done.is_whole else EXIT_INTERRUPTED


def _checked_controls(args: argparse.Namespace, row: ModelRow) -> Controls:
    """Return the controls once nothing in the options contradicts itself or the model."""
    given = given_controls(args)
    controls = controls_of(row, {**_without_picture(args, given), **given})
    check_effects(given, controls)
    check_loras(args)
    check_motion(args)
    if not controls.indices:
        logger.warning("strength %g: the picture is not redrawn, only coded", controls.strength)
    if args.size is not None:
        row.check_size(args.size.width, args.size.height)
    if args.crf is not None and Path(args.output).suffix.lower() not in VIDEO_SUFFIXES:
        raise ConfigError(
            f"--crf {args.crf} has no effect on {args.output!r}: it is for .mp4, .mov"
        )
    check_threads(args)
    return controls


def _without_picture(args: argparse.Namespace, given: Mapping[str, object]) -> dict[str, object]:
    """Return the controls that words alone need and nobody gave."""
    if not args.input.startswith("words:"):
        return {}
    if args.compare:
        raise ConfigError("--compare has no effect on words: there is no picture to compare with")
    return {} if "t_index_list" in given else {"strength": 1.0}


def _open_source(args: argparse.Namespace, row: ModelRow, *, is_live: bool) -> Source:
    source = open_source(args.input, size=args.size or size_rule(row), fit=args.fit)
    return realtime.paced(args, source) if is_live else source


def _open_sink(args: argparse.Namespace, source: Source, *, is_live: bool) -> Sink:
    info = at_wall_clock(source.info) if is_live else source.info
    if args.compare:
        info = replace(info, width=2 * info.width)
    is_file = not args.input.startswith(("test:", "words:", "camera:", "screen:"))
    return open_sink(
        args.output,
        info,
        audio=None if is_live else source.audio,
        source_path=Path(args.input) if is_file else None,
        overwrite=args.overwrite,
        encoding=None if args.crf is None else H264Options(crf=args.crf),
    )


def _load(args: argparse.Namespace, row: ModelRow, info: VideoInfo) -> Engines:
    if row.is_on_hub and not is_here(row):
        print(f"model {row.name}: the hub is asked for it, this may take long", file=sys.stderr)
    use_threads(args.threads)
    config = stream_config(args, Size(info.width, info.height))
    return load_engines(config, shelf=shelf_of(args))


def _artist(args: argparse.Namespace, source: Source, drawing: Drawing) -> Artist:
    """Return who draws, with the last touch that was asked for."""
    artist: Artist = drawing
    if args.fit == "letterbox":
        artist = Finished(artist, only_within(source.content))
    if args.compare:
        artist = Finished(artist, with_input)
    return artist


def _redraw(
    args: argparse.Namespace,
    source: Source,
    sink: Sink,
    *,
    artist: Artist,
    stop: Interruption,
) -> Redrawn:
    counts = [count for count in (source.info.frame_count, args.limit) if count is not None]
    try:
        total, console = min(counts, default=None), Console(stderr=True)
        with frame_progress(Path(args.output).name, total, console=console) as show:
            return redraw(
                source,
                sink,
                artist=artist,
                limit=args.limit,
                is_stopped=lambda: stop.is_asked,
                on_frame=show,
            )
    except SourceBroke as error:
        way_out = f": --limit {error.frames} redraws those before it" if error.frames else ""
        raise SourceError(f"{error}; nothing was written{way_out}") from error


def _gate_notes(gate: SimilarityGate, seconds: float) -> list[str]:
    """Say what the similarity filter saved."""
    if not gate.skipped:
        return []
    saved = seconds / max(gate.drawn, 1) * gate.skipped
    return [
        f"similarity filter: {gate.skipped} of {gate.drawn + gate.skipped} frames were still"
        f" ({gate.skipped_share:.0%}), about {saved:.1f} s of work saved"
    ]


def _report(
    args: argparse.Namespace,
    engines: Engines,
    done: Redrawn | Played,
    *,
    seconds: float,
    seed: int,
    notes: list[str],
) -> None:
    choice, config = engines.choice, engines.config
    whole = "" if done.is_whole else "stopped before the end: "
    made_by = f"{choice.backend.name} {engines.described_precision} on {choice.device}"
    print(args.output)
    print(f"{whole}{done.frames} frames in {seconds:.1f} s, {done.frames / seconds:.1f} fps")
    print(f"{args.model} · {config.width}x{config.height} · {made_by} · seed {seed}")
    for name, reason in choice.rejected:
        print(f"backend {name} was not used: {reason}")
    for note in notes:
        print(note)
