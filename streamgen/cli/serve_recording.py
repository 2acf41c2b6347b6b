"""Options of `streamgen serve` for recordings; without a folder nothing is ever recorded."""

from __future__ import annotations

import argparse
from pathlib import Path

from server.recorder_files import GB, RecordingLimits, RecordingPlace
from streamgen.cli.parser import whole_number

# Until a file is closed, some 100 bytes a picture are held in memory for its index.
LONGEST_MINUTES = 12 * 60
MOST_GB = 100_000


def add_recording_options(group: argparse._ArgumentGroup) -> None:
    """Declare the options."""
    add = group.add_argument
    add("--record-dir", type=Path, metavar="DIR", help="where recordings go; without it none")
    add(
        "--record-max-minutes",
        type=whole_number(1, LONGEST_MINUTES),
        default=60,
        metavar="N",
        help="of a recording, 60 by default",
    )
    add(
        "--record-max-gb",
        type=_gigabytes,
        default="4",
        metavar="GB",
        help="of a file, 4 by default",
    )
    add(
        "--record-keep-gb",
        type=_gigabytes,
        default="20",
        metavar="GB",
        help="of all recordings, 20 by default; the oldest are removed",
    )


def recording_of(args: argparse.Namespace) -> RecordingPlace | None:
    """Return what the options come to; None where nothing may be recorded."""
    if args.record_dir is None:
        return None
    limits = RecordingLimits(
        max_bytes=args.record_max_gb,
        max_s=60.0 * args.record_max_minutes,
        folder_bytes=args.record_keep_gb,
    )
    return RecordingPlace(folder=args.record_dir.expanduser().absolute(), limits=limits)


def _gigabytes(text: str) -> int:
    """Return a number of bytes."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.001 <= number <= MOST_GB:  # not a number is not, either
        raise argparse.ArgumentTypeError(f"{text!r}: give a number from 0.001 to {MOST_GB}")
    return round(number * GB)
