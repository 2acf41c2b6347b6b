"""`streamgen bench --suite gpu`: measures real models' networks, with random weights, on a GPU."""

from __future__ import annotations

import argparse

from rich.console import Console

from benchmarks.gpu.cases import all_cases, chosen_cases
from benchmarks.gpu.plot import draw_gpu
from benchmarks.gpu.suite import Order, check_device, read_results, run_suite
from benchmarks.gpu.table import print_gpu
from benchmarks.plot import check_plot
from benchmarks.report import check_writable
from streamgen.cli.bench_webrtc import check_suite_options
from streamgen.errors import ConfigError


def measure_gpu(args: argparse.Namespace, defaults: argparse.Namespace) -> int:
    """Measure, write JSON after every case, print the table and plot. defaults: of every option."""
    check_suite_options(args, defaults)
    order = _checked_order(args)
    progress = Console(stderr=True)
    report = run_suite(order, tell=lambda line: progress.print(line, markup=False, highlight=False))
    print_gpu(report)
    if args.plot is not None:
        draw_gpu(report, args.plot)
    return 0


def _checked_order(args: argparse.Namespace) -> Order:
    """Return what is to be measured; what cannot be is told before anything is."""
    if args.json is not None:
        check_writable(args.json)
    if args.plot is not None:
        check_plot(args.plot)
    if args.resume and args.json is None:
        raise ConfigError("--resume needs the file to go on with: add --json PATH")
    if args.resume:
        read_results(args.json)
    cases = chosen_cases(all_cases(args.scale), args.only)
    return Order(
        cases=cases,
        scale=args.scale,
        device=check_device(args.device, args.scale),
        precision=args.precision,
        budget_s=args.budget,
        json=args.json,
        resume=args.resume,
    )
