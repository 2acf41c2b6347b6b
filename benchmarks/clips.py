"""Redraws every clip of a folder with three prompts and checks what comes out, as data.

    python -m benchmarks.clips DIR --out DIR --json PATH [--frames N] [-- options of streamgen run]

Files, contact sheets and the numbers are for a person to look at; the exit code is 1 where a
check does not hold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.machine import versions
from benchmarks.probe import probe
from benchmarks.redraws import Outcome, Redraw, judge, judge_sound, run_streamgen
from benchmarks.report import check_writable, write_json
from streamgen.errors import ConfigError, StreamgenError

PROMPTS = ("watercolor", "pencil sketch", "cyberpunk")
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if every check holds, 1 if one does not, 2 for what the user can mend."""
    given = list(sys.argv[1:] if argv is None else argv)
    cut = given.index("--") if "--" in given else len(given)
    args = _parser().parse_args(given[:cut])
    try:
        clips = find_clips(args.clips)
        if args.frames is not None and args.frames < 1:
            raise ConfigError(f"--frames {args.frames}: give a whole number from 1 on")
        if args.json is not None:
            check_writable(args.json)
        args.out.mkdir(parents=True, exist_ok=True)
        redraw = run_streamgen(args.frames, given[cut + 1 :])
        outcomes = judge_all(clips, args.out, frames=args.frames, redraw=redraw)
        print_outcomes(outcomes)
        if args.json is not None:
            write_json(as_json(outcomes), args.json)
    except StreamgenError as error:
        print(f"clips: {error}", file=sys.stderr)
        return 2
    return 0 if all(outcome.is_ok for outcome in outcomes) else 1


def find_clips(folder: Path) -> list[Path]:
    """Return the video files of a folder; raise ConfigError if there are none."""
    if not folder.is_dir():
        raise ConfigError(f"folder '{folder}': there is no such folder; name one with clips")
    clips = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not clips:
        raise ConfigError(f"folder '{folder}' holds no clips; allowed are {' '.join(SUFFIXES)}")
    return clips


def judge_all(
    clips: Sequence[Path], folder: Path, *, frames: int | None, redraw: Redraw
) -> list[Outcome]:
    """Judge every clip, and the first one once more with sound."""
    outcomes = []
    for number, clip in enumerate(clips, start=1):
        print(f"{number} of {len(clips)}: {clip.name}", file=sys.stderr)
        outcomes.append(judge(clip, folder, prompts=PROMPTS, frames=frames, redraw=redraw))
    onset_s = tone_onset(clips[0], frames)
    sound = judge_sound(clips[0], folder, onset_s=onset_s, prompt=PROMPTS[0], redraw=redraw)
    return [*outcomes, sound]


def tone_onset(clip: Path, frames: int | None) -> float:
    """Return a third of what is redrawn of a clip, in seconds: not at a round number of frames."""
    found = probe(clip)
    if found is None or not found.rate:
        raise ConfigError(f"clip '{clip}': ffprobe finds no video with a rate in it")
    count = found.frames if frames is None else min(frames, found.frames)
    return round(float(count / found.rate) / 3, 3)


def as_json(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return everything as plain data."""
    return {
        "is_ok": all(outcome.is_ok for outcome in outcomes),
        "prompts": list(PROMPTS),
        "clips": [outcome.as_json() for outcome in outcomes],
        "versions": versions(),
    }


def print_outcomes(outcomes: Sequence[Outcome], console: Console | None = None) -> None:
    """Print the numbers of every clip and prompt, then every check that does not hold."""
    console = console or Console()
    table = Table("clip", "prompt")
    for heading in ("levels from input", "edge-SSIM", "nearest other prompt"):
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        for prompt, numbers in outcome.numbers.items():
            difference, edges = numbers["difference_to_input"], numbers["edge_ssim_to_input"]
            table.add_row(
                outcome.clip, prompt, f"{difference:.1f}", f"{edges:.3f}", _nearest(outcome, prompt)
            )
    console.print(table)
    checks = [(outcome.clip, check) for outcome in outcomes for check in outcome.checks]
    failed = [(clip, check) for clip, check in checks if not check.is_ok]
    for clip, check in failed:
        console.print(Text(f"{clip}: {check.name}: {check.found}", style="red"))
    console.print(f"{len(checks) - len(failed)} of {len(checks)} checks hold")


def _nearest(outcome: Outcome, prompt: str) -> str:
    """Return the least difference between this prompt's pictures and another's."""
    differences = [
        value
        for first, numbers in outcome.numbers.items()
        for name, value in numbers.items()
        if name.startswith("difference_to_") and name != "difference_to_input"
        if prompt in (first, name.removeprefix("difference_to_"))
    ]
    return f"{min(differences):.1f}" if differences else "-"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clips", allow_abbrev=False)
    parser.add_argument("clips", type=Path, metavar="DIR", help="folder with clips")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="what is made")
    parser.add_argument("--json", type=Path, metavar="PATH", help="the numbers")
    parser.add_argument("--frames", type=int, metavar="N", help="of each clip; all by default")
    parser.epilog = "options after -- are passed on to streamgen run"
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
