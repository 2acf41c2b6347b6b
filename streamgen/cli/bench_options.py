"""The options of `streamgen bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.clip import SAMPLE
from benchmarks.gpu.cases import SCALES
from benchmarks.many_streams import MAX_STREAMS
from streamgen.cli.options import add_engine_options
from streamgen.cli.parser import several, whole_number
from streamgen.controls import MAX_STEPS
from streamgen.metrics import WINDOW
from streamgen.sources import Size, parse_size

RIVALS = ("diffusers", "streamdiffusion")
SUITES = ("frame-path", "webrtc", "gpu")


def add_bench_options(parser: argparse.ArgumentParser) -> None:
    """Declare what is measured, how much of it, and where the result goes."""
    parser.add_argument(
        "--suite",
        choices=SUITES,
        default="frame-path",
        help="frame-path: from a decoded picture to a drawn one; webrtc: from a browser's picture"
        " through a server to its eyes, beside a bare aiortc echo; gpu: real models' networks with"
        " random weights on an NVIDIA GPU; frame-path by default",
    )
    add_engine_options(parser)
    _add_work(parser)
    _add_amount(parser)
    _add_gpu(parser)
    result = parser.add_argument_group("result")
    result.add_argument("--json", type=Path, metavar="PATH", help="write the result there, too")
    result.add_argument("--plot", type=Path, metavar="PATH.png", help="draw it there, too")


def _add_work(parser: argparse.ArgumentParser) -> None:
    work = parser.add_argument_group("work", "of a list, every combination is measured")
    work.add_argument(
        "--size",
        type=several(parse_size),
        default=(Size(256, 256),),
        metavar="WxH,…",
        help="256 by default; or 448x256; or 256,384,512",
    )
    work.add_argument(
        "--steps",
        type=several(whole_number(1, MAX_STEPS)),
        default=(1,),
        metavar="N,…",
        help="1 by default; or 1,2,4",
    )
    work.add_argument("--guidance", metavar="MODE", help="none, full, self or initialize")
    work.add_argument("--guidance-scale", type=float, metavar="N", help="1 by default: no negative")
    work.add_argument(
        "--streams",
        type=several(whole_number(1, MAX_STREAMS)),
        default=(),
        metavar="N,…",
        help="that many streams in one batch as well, as in 1,2,4,8",
    )
    work.add_argument(
        "--compare",
        action="append",
        choices=RIVALS,
        default=[],
        help="in turns with ours: the pipeline that the model's folder names, run by diffusers"
        " itself; or the package streamdiffusion; may be given twice",
    )
    work.add_argument(
        "--quality",
        action="store_true",
        help="how steady, sharp and true the pictures are, beside their speed",
    )
    work.add_argument(
        "--compare-backends",
        action="store_true",
        help="every backend and precision that runs here, in turns; how fast each is, and how near"
        " its pictures are to those of torch in fp32",
    )
    work.add_argument(
        "--backends",
        type=several(str),
        default=(),
        metavar="NAME,…",
        help="only these of --compare-backends: torch,openvino; or openvino-bf16,openvino-int8",
    )
    work.add_argument(
        "--clip",
        type=Path,
        default=SAMPLE,
        metavar="FILE",
        help="a video file; by default the one that ships",
    )


def _add_amount(parser: argparse.ArgumentParser) -> None:
    much = parser.add_argument_group("how much")
    # More laps than that are not kept for the percentiles.
    count = whole_number(1, WINDOW)
    much.add_argument(
        "--frames",
        type=count,
        default=300,
        metavar="N",
        help="of a run, of all streams together, 300 by default",
    )
    much.add_argument(
        "--runs", type=count, default=3, metavar="N", help="3 by default; the median counts"
    )
    much.add_argument(
        "--warmup", type=count, default=30, metavar="N", help="frames before that, 30 by default"
    )
    much.add_argument(
        "--seconds",
        type=whole_number(2, 3600),
        metavar="N",
        help="of --suite webrtc: for each of what it compares, 60 by default",
    )


def _add_gpu(parser: argparse.ArgumentParser) -> None:
    gpu = parser.add_argument_group("--suite gpu")
    gpu.add_argument(
        "--scale",
        choices=SCALES,
        default="full",
        help="full by default; tiny: thin networks and small pictures, which a CPU can do as well",
    )
    gpu.add_argument(
        "--only",
        type=several(str),
        default=(),
        metavar="NAME,…",
        help="these cases, as in 'sd-turbo-*'; a wrong name lists them all",
    )
    gpu.add_argument(
        "--budget",
        type=whole_number(1),
        metavar="SECONDS",
        help="leave out cases that would take longer than what is left of it",
    )
    gpu.add_argument(
        "--resume", action="store_true", help="measure only what the file of --json has not yet"
    )
