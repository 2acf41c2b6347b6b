"""`streamgen animate PROMPT OUT`: draws a clip as a whole, from words or from a picture."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

from rich.console import Console

from engines.registry import choose
from streamgen.animation.camera import MOVES, STILL, Camera, Move, read_ground, seen_size
from streamgen.animation.clip import ClipDrawing, ClipPlan
from streamgen.animation.clip_model import ClipModel, load_clip_model
from streamgen.animation.planning import plan_of
from streamgen.cli.animate_options import add_arguments, asked_of
from streamgen.cli.interruption import Interruption
from streamgen.cli.lora_options import check_loras, shelf_of
from streamgen.cli.models import is_here
from streamgen.cli.motion_options import asked_adapter, asked_model
from streamgen.cli.options import size_rule
from streamgen.cli.progress import frame_progress
from streamgen.config import AUTO
from streamgen.errors import ConfigError
from streamgen.frame import Colour, Frame, Stamp, VideoInfo
from streamgen.models.engines import find_device
from streamgen.models.registry import ModelRow
from streamgen.motion.table import AdapterRow, adapter_folder, own_adapter
from streamgen.sinks import VIDEO_SUFFIXES, H264Options, Sink, open_sink
from streamgen.sources import Size

__all__ = ["add_arguments", "execute"]
logger = logging.getLogger(__name__)
#: Square, where there is no picture to go by.
_SQUARE = Size(512, 512)


def execute(args: argparse.Namespace) -> int:
    """Draw the clip; nothing is left of one that was not drawn to its end."""
    row, asked = asked_model(args), asked_of(args)
    adapter = _adapter(args, row)
    _check(args, row)
    ground = None if args.image is None else read_ground(args.image, args.size or size_rule(row))
    size = seen_size(ground) if ground is not None else args.size or size_rule(row)(_SQUARE)
    began = time.monotonic()
    with Interruption(), _open_sink(args, size) as sink:
        model, folder = _load(args, row, adapter)
        camera = None if ground is None else Camera(ground, _move(args, model), args.frames)
        plan = plan_of(asked, model, adapter=folder, size=size, has_picture=ground is not None)
        logger.info("drawing %d frames in %d windows", plan.frames, len(plan.windows))
        _draw(args, ClipDrawing(model, plan, camera), sink)
        sink.finish()
    seconds = time.monotonic() - began
    print(args.output)
    print(f"{asked.frames} frames in {seconds:.1f} s, {asked.frames / float(args.fps):.1f} s long")
    print(_made_by(args, model, plan, adapter=adapter, size=size))
    for note in sink.notes:
        print(note)
    return 0


def _check(args: argparse.Namespace, row: ModelRow) -> None:
    """Raise, before anything is loaded, for options that cannot be or have no effect."""
    check_loras(args)
    choose("torch", device=find_device(args.device))  # raises where torch does not have it
    if args.size is not None:
        row.check_size(args.size.width, args.size.height)
    if args.camera is not None and args.image is None:
        raise ConfigError(
            f"--camera {args.camera} has no effect without a picture to move before: add --image"
        )
    if args.crf is not None and Path(args.output).suffix.lower() not in VIDEO_SUFFIXES:
        raise ConfigError(
            f"--crf {args.crf} has no effect on {args.output!r}: it is for .mp4, .mov"
        )


def _adapter(args: argparse.Namespace, row: ModelRow) -> AdapterRow | None:
    """Return the adapter that is asked for; a clip has the time for one that streams go without."""
    asked = asked_adapter(args)
    return own_adapter(row.name) if asked is None and args.motion == AUTO else asked


def _load(
    args: argparse.Namespace, row: ModelRow, adapter: AdapterRow | None
) -> tuple[ClipModel, Path | None]:
    """Return what draws, and the folder of its adapter."""
    if row.is_on_hub and not is_here(row):
        print(f"model {row.name}: the hub is asked for it, this may take long", file=sys.stderr)
    folder = None if adapter is None else adapter_folder(adapter)
    shelf = shelf_of(args)
    loaded = load_clip_model(
        row,
        folder,
        device=find_device(args.device),
        adapter_name="" if adapter is None else adapter.name,
        loras=[(shelf.path(each.name), each.scale) for each in args.loras],
    )
    return loaded, folder


def _move(args: argparse.Namespace, clip_model: ClipModel) -> Move:
    # With a model that redraws what it sees nothing moves unless that does.
    usual = "zoom-in" if clip_model.model.kind == "instruct_pix2pix" else STILL
    return MOVES[args.camera or usual]


def _open_sink(args: argparse.Namespace, size: Size) -> Sink:
    info = VideoInfo(
        width=size.width,
        height=size.height,
        rate=args.fps,
        time_base=1 / args.fps,
        frame_count=args.frames,
        colour=Colour(matrix="bt709"),
    )
    return open_sink(
        args.output,
        info,
        source_path=args.image,
        overwrite=args.overwrite,
        encoding=None if args.crf is None else H264Options(crf=args.crf),
    )


def _draw(args: argparse.Namespace, drawing: ClipDrawing, sink: Sink) -> None:
    """Draw all frames into the sink; the bar counts them by the work that is done."""
    title = Path(args.output).name
    with frame_progress(title, args.frames, console=Console(stderr=True)) as show:

        def tell() -> None:
            show(int(args.frames * drawing.share))

        for index, pixels in enumerate(drawing.pictures(tell)):
            stamp = Stamp(
                index=index, pts=index, time_base=1 / args.fps, ingest_ns=time.monotonic_ns()
            )
            sink.write(Frame(pixels=pixels, stamp=stamp))


def _made_by(
    args: argparse.Namespace,
    clip_model: ClipModel,
    plan: ClipPlan,
    *,
    adapter: AdapterRow | None,
    size: Size,
) -> str:
    window = len(plan.windows[0].weights)
    parts = [
        args.model,
        str(size),
        f"torch on {clip_model.device}",
        f"{plan.sampler.name}, {len(plan.levels)} steps",
        "no motion adapter" if adapter is None else f"motion {adapter.name} over {window} frames",
        f"seed {plan.seed}",
    ]
    return " · ".join(parts)
