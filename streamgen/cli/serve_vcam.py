"""`streamgen serve --virtual-camera`: a stream of the server as a camera of its own machine.

A `streamgen vcam` beside the server: what it needs is under the GPL, and stays out of the server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from server.names import stream_name
from server.nouns import BadName
from server.settings import WILDCARDS, Settings
from server.whep_client import whep_url
from streamgen.cli.companion import Companion
from streamgen.cli.vcam import TOKEN_VARIABLE
from streamgen.sinks.virtual_camera import check_package

#: In place of a stream's name.
NEWEST = ""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--virtual-camera",
        nargs="?",
        const=NEWEST,
        type=read_name,
        metavar="STREAM",
        help="show a stream as a camera of this machine; the newest one by default",
    )


def read_name(text: str) -> str:
    """Read the name of a stream, as arguments are read."""
    if text == NEWEST:
        return NEWEST
    try:
        return stream_name(text)
    except BadName as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def check(stream: str | None) -> None:
    """Raise SinkError where a camera is wanted and the library for it is not here."""
    if stream is not None:
        check_package()


def beside(
    stream: str | None, settings: Settings, port: int, *, environ: Mapping[str, str]
) -> AbstractContextManager[object]:
    """Return what shows a stream while the context lasts; nothing where none is wanted."""
    if stream is None:
        return nullcontext()
    given = {name: value for name, value in environ.items() if name != TOKEN_VARIABLE}
    if settings.token is not None:
        given[TOKEN_VARIABLE] = settings.token
    # It prints as UTF-8, whatever the terminal of this program is like.
    given["PYTHONIOENCODING"] = "utf-8"
    return Companion("vcam", command(stream, settings, port), given)


def command(stream: str, settings: Settings, port: int) -> list[str]:
    """Return what is started; no secret is among it."""
    server = own_url(settings, port)
    place = ["--server", server] if stream == NEWEST else ["--whep", whep_url(server, stream)]
    words = [sys.executable, "-m", "streamgen", "vcam", *place, "--until-stdin-ends"]
    if settings.tls is not None:
        words += ["--certificate", str(settings.tls.authority or settings.tls.chain)]
    return words


def own_url(settings: Settings, port: int) -> str:
    """Return where this very machine reaches the server."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    host = own[settings.host] if settings.host in WILDCARDS else settings.host
    shown = f"[{host}]" if ":" in host else host
    return f"{settings.scheme}://{shown}:{port}/"
