"""Starts a server of its own process, waits until it takes visitors, and stops it.

    with serving("--debug-barcode") as served: … served.url …

Knows nothing of what is measured on it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from streamgen.errors import StreamgenError

#: A model may be compiled before the first visitor is let in.
START_S = 300.0
STOP_S = 30.0
READY = "Ready."
_ECHO = (sys.executable, "-m", "benchmarks.webrtc.echo")
_SERVE = (sys.executable, "-m", "streamgen", "serve", "--port", "0")
_LAST_WORDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that takes visitors. log: the file that its errors go to."""

    url: str
    pid: int
    log: Path


@contextmanager
def serving(*options: str) -> Iterator[Served]:
    """Run `streamgen serve` on a port that is free."""
    with _running([*_SERVE, *options]) as served:
        yield served


@contextmanager
def echoing() -> Iterator[Served]:
    """Run a bare aiortc echo."""
    with _running(_ECHO) as served:
        yield served


@contextmanager
def _running(command: Sequence[str]) -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="streamgen-") as folder:
        log = Path(folder) / "log"
        with log.open("w") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield Served(url=_url(process, log), pid=process.pid, log=log)
        finally:
            _stop(process)


def _url(process: subprocess.Popen[str], log: Path) -> str:
    """Return the address that a server prints, once it is ready."""
    assert process.stdout is not None, "it was asked for"
    url = ""
    watchdog = Timer(START_S, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            word = line.strip()
            if word.startswith("http"):
                url = url or word
            if word == READY:
                return url
    finally:
        watchdog.cancel()
    words = log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]
    raise StreamgenError(f"the server to be measured did not start: {words.strip() or 'no word'}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(OSError):
        assert process.stdout is not None
        process.stdout.close()
