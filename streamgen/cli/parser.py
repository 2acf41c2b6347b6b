"""The argument parser of every command: errors are one sentence; knows no command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NoReturn, TypeVar

from streamgen.errors import ConfigError

T = TypeVar("T")


class Parser(argparse.ArgumentParser):
    """Raises ConfigError where argparse would print its usage and leave."""

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong as a sentence that says where to read on."""
        raise ConfigError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")

    @property
    def parts(self) -> Mapping[str, Parser]:
        """The parsers of a command that has commands of its own, by their names."""
        nested = (each for each in self._actions if isinstance(each, argparse._SubParsersAction))
        return {name: part for action in nested for name, part in action.choices.items()}

    def every(self) -> Iterator[Parser]:
        """Iterate over this parser and those in it."""
        yield self
        for part in self.parts.values():
            yield from part.every()

    def refuse_unknown(self, arguments: Sequence[str]) -> None:
        """Raise ConfigError for the first word or long option that this parser does not have."""
        known = [name for action in self._actions for name in action.option_strings]
        parts = self.parts
        for place, argument in enumerate(arguments):
            if argument in parts:
                return parts[argument].refuse_unknown(arguments[place + 1 :])
            if argument == "--":
                return
            if parts and not argument.startswith("-"):
                near = suggestion(argument, parts)
                self.error(f"unknown action {argument!r}: choose {', '.join(parts)}{near}")
            name = argument.partition("=")[0]
            # argparse, too, takes an argument with a space in it for a value.
            if name.startswith("--") and " " not in name and name not in known:
                self.error(f"unknown option {name!r}{suggestion(name, known)}")
        if parts and not {"-h", "--help"} & set(arguments):
            self.error(f"no action: choose {', '.join(parts)}")


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" for a near miss, else an empty text."""
    close = get_close_matches(given, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def whole_number(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a type of argument: a whole number from low to high."""
    allowed = f"give a whole number from {low}" + (" on" if high is None else f" to {high}")

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {allowed}") from error
        if number < low or (high is not None and number > high):
            raise argparse.ArgumentTypeError(f"{text!r}: {allowed}")
        return number

    return read


def several(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Return a type of argument: values with commas between, each counted once."""

    def read_all(text: str) -> tuple[T, ...]:
        return tuple(dict.fromkeys(read(part) for part in text.split(",")))

    return read_all
