"""`streamgen bench --suite webrtc`: measures the whole way through a served page."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from benchmarks.plot import check_plot
from benchmarks.report import check_writable, write_json
from benchmarks.webrtc.browser import find_chromium
from benchmarks.webrtc.suite import Plan, measure_webrtc
from benchmarks.webrtc.table import draw_webrtc, print_webrtc
from streamgen.errors import ConfigError

#: The options of the command that have a meaning to a suite; the others' are those left over.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "webrtc": ("suite", "seconds", "json", "plot"),
    "gpu": ("suite", "device", "precision", "scale", "only", "budget", "resume", "json", "plot"),
}
#: Of those, the ones that mean nothing to any other suite.
_OWN = ("seconds", "scale", "only", "budget", "resume")
SECONDS = 60


def measure_served(args: argparse.Namespace, defaults: argparse.Namespace) -> int:
    """Measure, print the table, write JSON and plot. defaults: of every option."""
    check_suite_options(args, defaults)
    if args.json is not None:
        check_writable(args.json)
    if args.plot is not None:
        check_plot(args.plot)
    find_chromium()
    report, seen = measure_webrtc(Plan(seconds=args.seconds or SECONDS))
    print_webrtc(report)
    if args.json is not None:
        write_json(report, args.json)
    if args.plot is not None:
        draw_webrtc(report, seen, args.plot)
    return 0


def check_suite_options(args: argparse.Namespace, defaults: argparse.Namespace) -> None:
    """Raise ConfigError for an option that the chosen suite has no use for."""
    given = [name for name, value in vars(defaults).items() if getattr(args, name) != value]
    if args.suite in OPTIONS:
        wrong = [name for name in given if name not in OPTIONS[args.suite]]
    else:
        wrong = [name for name in given if name in _OWN]
    if wrong:
        option = f"--{wrong[0].replace('_', '-')}"
        raise ConfigError(f"{option} means nothing to --suite {args.suite}: leave it out")
