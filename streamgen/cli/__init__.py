"""The command line: which commands there are, and what becomes of their errors."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from engines.errors import EngineError
from streamgen import __version__
from streamgen.cli.logs import logging_to_stderr, quiet_libraries
from streamgen.cli.parser import Parser, suggestion
from streamgen.errors import StreamgenError

EXIT_UNEXPECTED = 1
EXIT_USER = 2
EXIT_INTERRUPTED = 130
#: What a shell reports for a program that a closed pipe ended: 128 + SIGPIPE.
EXIT_PIPE = 141


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command; its module has `add_arguments(parser)` and `execute(args) -> exit code`."""

    name: str
    about: str

    @property
    def module(self) -> str:
        return f"streamgen.cli.{self.name}"


COMMANDS = (
    Command(name="run", about="redraw a video file, a folder of images, a camera or a screen"),
    Command(name="animate", about="draw a whole clip from words or from a picture"),
    Command(name="serve", about="serve the page that redraws your camera, live"),
    Command(name="vcam", about="show a server's stream as a camera of this machine"),
    Command(name="models", about="list the models, or describe one"),
    Command(name="loras", about="list LoRA files: what they hold, and whether they fit a model"),
    Command(name="bench", about="measure the whole frame path on this machine"),
    Command(name="eval", about="measure how steady and true a redrawn video is"),
    Command(name="train", about="make the built-in model, or teach it a style"),
    Command(name="engines", about="the compiled networks: what can run here, what is built"),
    Command(name="devices", about="list cameras and screens, and how to get what is not there"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return an exit code.

    0, 1 (unexpected), 2 (the user can mend it), 130 (stopped) or 141 (nobody reads on).
    """
    # Before torch is imported: its idle threads must not spin where decoder and encoder work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _spell_out_what_cannot_be_shown()
    arguments = list(sys.argv[1:] if argv is None else argv)
    is_debugged = "--debug" in arguments
    if not {"-v", "--verbose", "--debug"} & set(arguments):
        quiet_libraries(os.environ)
    try:
        return _perform(arguments)
    except (StreamgenError, EngineError) as error:
        return _fail(error, str(error), is_debugged=is_debugged, code=EXIT_USER)
    except BrokenPipeError:
        # Whoever read the output has seen enough, as `head` has: nothing is wrong.
        _drop_output()
        return EXIT_PIPE
    except KeyboardInterrupt as error:
        return _fail(error, "stopped", is_debugged=is_debugged, code=EXIT_INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last place that can put a sentence to it
        sentence = f"unexpected {type(error).__name__}: {error}; --debug shows where it came from"
        return _fail(error, sentence, is_debugged=is_debugged, code=EXIT_UNEXPECTED)


def _perform(arguments: Sequence[str]) -> int:
    """Run the command; whatever it printed has gone out when this returns."""
    try:
        args = parse(arguments)
        with logging_to_stderr(_level(args)):
            code = int(args.execute(args))
    except SystemExit:  # --help and --version, which print, too
        _flush()
        raise
    _flush()
    return code


def _spell_out_what_cannot_be_shown() -> None:
    """Let a character that the terminal does not have be printed as its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush() -> None:
    if sys.stdout is not None:  # it is None where the shell closed it: >&-
        sys.stdout.flush()


def _drop_output() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush is quiet, too."""
    if sys.stdout is None:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; `execute` in the result is what to call with it.

    Only the named command is imported, so that the list of commands needs no torch.
    """
    parser = Parser(
        prog="streamgen",
        description="Real-time video-to-video diffusion: a picture in, the same picture redrawn.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"streamgen {__version__}")
    _add_common(parser, default=False)
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    name = next((word for word in arguments if not word.startswith("-")), None)
    _check_command(name, arguments, parser)
    for command in COMMANDS:
        added = commands.add_parser(
            command.name, help=command.about, description=command.about, allow_abbrev=False
        )
        if command.name == name:
            module = import_module(command.module)
            module.add_arguments(added)
            for each in added.every():
                _add_common(each, default=argparse.SUPPRESS)
            added.set_defaults(execute=module.execute)
            added.refuse_unknown(arguments[arguments.index(name) + 1 :])
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands.choices[str(name)].error(f"argument {unknown[0]!r} is one too many")
    return args


def _check_command(name: str | None, arguments: Sequence[str], parser: Parser) -> None:
    names = [command.name for command in COMMANDS]
    allowed = ", ".join(names)
    if name is None:
        parser.refuse_unknown(arguments)
        if not {"-h", "--help", "--version"} & set(arguments):
            parser.error(f"no command: choose {allowed}")
    elif name not in names:
        parser.error(f"unknown command {name!r}: choose {allowed}{suggestion(name, names)}")


def _add_common(parser: Parser, *, default: object) -> None:
    parser.add_argument(
        "-v", "--verbose", action="store_true", default=default, help="say what is going on"
    )
    parser.add_argument(
        "--debug", action="store_true", default=default, help="tracebacks, and a log of everything"
    )


def _level(args: argparse.Namespace) -> int:
    if args.debug:
        return logging.DEBUG
    return logging.INFO if args.verbose else logging.WARNING


def _fail(error: BaseException, sentence: str, *, is_debugged: bool, code: int) -> int:
    if is_debugged:
        traceback.print_exception(error)
    print(f"streamgen: {' '.join(sentence.split())}", file=sys.stderr)
    return code
