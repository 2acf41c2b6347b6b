"""`run --realtime`: what it asks, implies and tells; the way itself is in streamgen.realtime."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from streamgen import sinks, sources
from streamgen.cli.interruption import Interruption
from streamgen.cli.progress import frame_progress
from streamgen.errors import ConfigError
from streamgen.offline import Artist
from streamgen.realtime import Played, Player
from streamgen.sinks import VIDEO_SUFFIXES, Sink
from streamgen.sources import Size, Source, open_source
from streamgen.sources.paced import PacedSource

# Ages are sorted for this, which is not worth it for every frame.
_TELL_EVERY = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    live = parser.add_argument_group("live")
    live.add_argument(
        "--realtime",
        action="store_true",
        help="at the input's own pace: what comes too fast is dropped, the newest wins;"
        " cameras, screens and windows imply it",
    )
    live.add_argument("--loop", action="store_true", help="begin a file anew at its end")


def is_asked(args: argparse.Namespace) -> bool:
    """Tell whether the run is one in real time, as is asked or implied.

    ConfigError for options that have no place there, or only there.
    """
    is_endless = sources.is_live(args.input)
    if not (args.realtime or is_endless or sinks.is_live(args.output)):
        if args.loop:
            raise ConfigError("--loop has no effect: add --realtime")
        return False
    if args.loop and is_endless:
        raise ConfigError(f"--loop has no effect on {args.input!r}: it has no end")
    if args.frame_buffer > 1:
        raise ConfigError(
            f"--frame-buffer {args.frame_buffer} has no place in real time: each picture would"
            f" come {args.frame_buffer - 1} frames later; leave it out"
        )
    return True


def paced(args: argparse.Namespace, source: Source) -> Source:
    """Return a source that takes its time: a file at its own pace, a camera as it is.

    Say that it does where nobody asked for it.
    """
    is_endless = sources.is_live(args.input)
    if not args.realtime:
        live = args.input if is_endless else args.output
        print(f"{live} is live: it runs as with --realtime", file=sys.stderr)
    if is_endless:
        return source
    size = Size(source.info.width, source.info.height)

    def again() -> Source:
        return open_source(args.input, size=size, fit=args.fit)

    return PacedSource(source, clock=time.monotonic_ns, again=again if args.loop else None)


def play(
    args: argparse.Namespace,
    source: Source,
    sink: Sink,
    *,
    artist: Artist,
    stop: Interruption,
) -> Played:
    """Play until the end, --limit or Ctrl-C; what breaks before the first picture is raised."""
    with frame_progress(args.output, args.limit, console=Console(stderr=True)) as show:

        def tell(played: Played) -> None:
            if played.frames % _TELL_EVERY == 0:
                show(played.frames, f"dropped {dropped(played, source)} · {age(played)}")

        player = Player(
            clock=time.monotonic_ns,
            limit=args.limit,
            is_stopped=lambda: stop.is_asked,
            on_frame=tell,
        )
        played = player.play(source, sink, artist=artist)
    if played.frames == 0 and played.error is not None:
        raise played.error
    if played.frames == 0 and stop.is_asked:
        raise KeyboardInterrupt
    return played


def notes(args: argparse.Namespace, played: Played, source: Source) -> list[str]:
    """Say what was dropped, how old the pictures were, and what is not in the result."""
    total = played.drawn + dropped(played, source)
    said = [
        f"dropped: {dropped(played, source)} of {total} frames before they were drawn,"
        f" {played.not_shown} pictures before they were taken",
        f"{age(played)}, from arrival to output",
    ]
    if source.audio is not None and Path(args.output).suffix.lower() in VIDEO_SUFFIXES:
        said.append("the sound was left out: in real time there is none")
    return said


def dropped(played: Played, source: Source) -> int:
    """Count the frames that gave way to newer ones."""
    return played.not_drawn + (source.skipped if isinstance(source, PacedSource) else 0)


def age(played: Played) -> str:
    """Tell the age of the pictures of late."""
    ages = played.ages
    return "no picture yet" if ages is None else f"age p50 {ages.p50:.0f} ms, p95 {ages.p95:.0f} ms"
