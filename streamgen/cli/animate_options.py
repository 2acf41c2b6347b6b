"""Options of `streamgen animate`, and what they ask of a clip."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from streamgen.animation.camera import MOVES
from streamgen.animation.clip import NOISES
from streamgen.animation.planning import OVERLAP, Asked
from streamgen.animation.sampling import SAMPLERS
from streamgen.animation.schedules import BETAS
from streamgen.cli.lora_options import METAVAR, add_folders_option, read_lora_choice
from streamgen.cli.motion_options import add_adapter_option
from streamgen.cli.parser import whole_number
from streamgen.controls import MAX_SEED, MAX_TEXT
from streamgen.errors import ConfigError
from streamgen.sources import parse_size

#: All are drawn at once, so they are all in memory, as latents, a few times over.
MAX_FRAMES = 10_000
MAX_STEPS = 1000
_SLOWEST, _FASTEST = Fraction(1, 100), Fraction(240)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("prompt", metavar="PROMPT", help="what to draw, in words")
    parser.add_argument(
        "output", metavar="OUT", help=".mp4 or .mov file, or folder of pictures (ends with /)"
    )
    _add_clip_options(parser.add_argument_group("clip"))
    _add_drawing_options(parser.add_argument_group("drawing"))
    _add_model_options(parser.add_argument_group("model"))


def asked_of(args: argparse.Namespace) -> Asked:
    """Return what the options ask of a clip."""
    for name in ("prompt", "negative_prompt"):
        if len(vars(args)[name]) > MAX_TEXT:
            raise ConfigError(f"{name.replace('_', ' ')}: give at most {MAX_TEXT} characters")
    return Asked(
        prompt=args.prompt,
        negative_prompt=args.negative_prompt,
        frames=args.frames,
        seed=args.seed,
        strength=args.strength,
        steps=args.steps,
        guidance_scale=args.guidance_scale,
        window=args.window,
        overlap=args.overlap,
        sampler=args.sampler,
        betas=args.betas,
        noise=args.noise,
    )


def _add_clip_options(clip: argparse._ArgumentGroup) -> None:
    add = clip.add_argument
    add("--image", type=Path, metavar="FILE", help="picture that every frame starts from")
    add(
        "--camera",
        choices=tuple(MOVES),
        help="how a camera moves before the picture; with a model that redraws what it sees, as"
        " tiny, zoom-in by default, else still",
    )
    add("--frames", type=whole_number(1, MAX_FRAMES), default=32, metavar="N", help="32 by default")
    add("--fps", type=_rate, default=Fraction(12), metavar="N", help="12 by default, or 24000/1001")
    add(
        "--size", type=parse_size, metavar="WxH", help="256 or 448x256; by default the model's best"
    )
    add(
        "--crf", type=whole_number(0, 51), metavar="N", help="0 lossless to 51 small, 18 by default"
    )
    add("--overwrite", action="store_true", help="replace an output that exists")


def _add_drawing_options(drawing: argparse._ArgumentGroup) -> None:
    add = drawing.add_argument
    add(
        "--strength",
        type=_number(0, 1, above=True),
        metavar="N",
        help="above 0, to 1, which redraws the picture freely; the model's by default",
    )
    add(
        "--steps",
        type=whole_number(1, MAX_STEPS),
        metavar="N",
        help="by default "
        + ", ".join(f"{each.steps} with {each.name}" for each in SAMPLERS.values()),
    )
    add(
        "--guidance-scale",
        type=_number(0, 20),
        metavar="N",
        help="how hard to follow the prompt; 1 is plain, and half the work",
    )
    add("--negative-prompt", default="", metavar="TEXT", help="what to keep away from")
    add("--seed", type=whole_number(0, MAX_SEED), default=0, metavar="N", help="0 by default")
    add("--sampler", choices=tuple(SAMPLERS), help="lcm for distilled models, by default as it is")
    add("--betas", choices=BETAS, help="noise of the model, or AnimateDiff's; as the adapter knows")
    add("--noise", choices=NOISES, help="of each frame its own, or of all the same")


def _add_model_options(model: argparse._ArgumentGroup) -> None:
    add = model.add_argument
    add("--model", default="tiny", metavar="NAME", help="name, diffusers folder or hub id")
    add_adapter_option(model, auto="that of the model")
    add(
        "--window",
        type=whole_number(1, MAX_FRAMES),
        metavar="N",
        help="frames drawn together; what the adapter was made for by default, mostly 16",
    )
    add(
        "--overlap",
        type=whole_number(0, MAX_FRAMES),
        metavar="N",
        help=f"frames that two windows share, and fade over; {OVERLAP} by default",
    )
    add("--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1, …")
    add(
        "--lora",
        dest="loras",
        action="append",
        default=[],
        type=read_lora_choice,
        metavar=METAVAR,
        help="of the model or of its motion; may be repeated",
    )
    add_folders_option(model, "that --lora takes by name")


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text).limit_denominator(100_000)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not _SLOWEST <= rate <= _FASTEST:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give frames per second from {float(_SLOWEST):g} to {_FASTEST}"
        )
    return rate


def _number(low: float, high: float, *, above: bool = False) -> Callable[[str], float]:
    """Return a type of argument: a number from low, or above it, to high."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high or (above and number == low):
            word = "above" if above else "from"
            raise argparse.ArgumentTypeError(f"{text!r}: give a number {word} {low:g} to {high:g}")
        return number

    return read
