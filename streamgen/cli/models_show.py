"""Prints what a model understands: its styles, its other words, and how to use them."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamgen.cli.json_report import save_report
from streamgen.errors import ConfigError
from streamgen.models.registry import find_model
from streamgen.models.vocabulary import Vocabulary, Word, read_vocabulary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--show", metavar="NAME", help="what a model understands: styles, other words, how to use"
    )


def show_model(args: argparse.Namespace, *, report: str | None) -> int:
    """Print a model's vocabulary; report: see `json_report`, with the folder of the thumbnails."""
    for other in (args.name, args.evaluate):
        if other is not None:
            raise ConfigError(f"--show {args.show!r} and {other!r}: leave one of them out")
    row = find_model(args.show)
    vocabulary = read_vocabulary(row)
    if report:
        save_report({"folder": str(row.location), **vocabulary.model_dump(mode="json")}, report)
        return 0
    console = Console(highlight=False)
    _print_words(vocabulary, console)
    _print_use(vocabulary, console)
    # Not by the console: it would break a path, which people copy, at the terminal's width.
    print(f"thumbnails: {row.location}/{vocabulary.original.partition('/')[0]}")
    return 0


def _print_words(vocabulary: Vocabulary, console: Console) -> None:
    table = Table("style", "or", "looks like", "colours only")
    for style in vocabulary.styles:
        only = "" if style.beyond_colour_table else "yes"
        cells = (style.name, ", ".join(style.synonyms), style.description, only)
        table.add_row(*map(Text, cells))
    console.print(table)
    table = Table("palette or light", "or")
    for word in (*vocabulary.palettes, *vocabulary.lights):
        table.add_row(*map(Text, _cells(word)))
    console.print(table)


def _cells(word: Word) -> tuple[str, str]:
    return word.name, ", ".join(word.synonyms)


def _print_use(vocabulary: Vocabulary, console: Console) -> None:
    console.print(Text(vocabulary.combining))
    console.print(Text(f"Empty prompt: {vocabulary.empty_prompt}"))
    console.print("For example:")
    for example in vocabulary.examples:
        console.print(Text(f"  {example}"))
    table = Table("control", "useful", "what it does")
    for name, useful in vocabulary.useful.items():
        table.add_row(*map(Text, (name, f"{useful.low:g} to {useful.high:g}", useful.about)))
    sizes = vocabulary.sizes
    table.add_row(*map(Text, ("size", f"{sizes.low:g} to {sizes.high:g} px", sizes.about)))
    console.print(table)
