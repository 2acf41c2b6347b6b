"""`streamgen models --evaluate NAME`: scores the built-in model, or one trained like it."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from streamgen.cli.json_report import save_report
from streamgen.config import StreamConfig
from streamgen.errors import ModelError
from streamgen.models.registry import find_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those that choose the engines say so in `evaluate_model`."""
    parser.add_argument(
        "--evaluate", metavar="NAME", help="score tiny, or the folder of a model trained like it"
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="photos to score on; those of the test list where DIR has any, else all;"
        " without it, frames of the packaged clip",
    )
    parser.add_argument("--backend", default="auto", help="of the engines that are scored")
    parser.add_argument("--precision", default="auto", help="of the engines that are scored")


def evaluate_model(args: argparse.Namespace, *, report: str | None) -> int:
    """Print every score with what is asked of it; report: see `json_report`."""
    row = find_model(args.evaluate)
    if row.is_on_hub:
        raise ModelError(
            f"model {row.name!r} cannot be scored: its styles are not known;"
            " give tiny, or the folder of a model trained by `streamgen train`"
        )
    from streamgen.models.evaluation.report import LIMITS, evaluate  # takes torch with it

    config = StreamConfig(
        model=args.evaluate,
        width=256,
        height=256,
        backend=args.backend,
        precision=args.precision,
    )
    console = Console(stderr=report == "-")
    with console.status("reading photos") as status:
        found = evaluate(config, args.photos, tell=lambda stage: status.update(f"scoring: {stage}"))
    title = f"{found.model} on {found.pictures} pictures, {found.backend} {found.precision}"
    table = Table("score", "value", "asked", "", title=title)
    for name, limit in LIMITS.items():
        is_ok = name not in found.failed
        table.add_row(name, f"{found.scores[name]:.3f}", str(limit), "ok" if is_ok else "MISSED")
    console.print(table)
    styles = Table("style", "hits", "edges", "sharpness", "4 steps", "dB")
    for name, style in found.styles.items():
        figures = (style.hits, style.edge_ratio, style.sharpness_ratio, style.steps_gain)
        styles.add_row(name, *(f"{figure:.2f}" for figure in figures), f"{style.psnr:.1f}")
    console.print(styles)
    curve = "  ".join(f"{strength}: {db:.1f}" for strength, db in found.strength_curve.items())
    console.print(f"strength to the input, dB: {curve}", highlight=False)
    for line in found.missed:
        console.print(f"sentence taken for another: {line}", highlight=False, markup=False)
    console.print(f"{len(LIMITS) - len(found.failed)} of {len(LIMITS)} scores hold")
    if report:
        save_report(found.as_json(), report)
    return 0
