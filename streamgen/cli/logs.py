"""What is said on stderr while a command works; the only place that configures logging."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

OURS = ("streamgen", "engines", "server", "benchmarks")
# Read by those libraries when they are imported.
_QUIET = {
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


def quiet_libraries(environ: MutableMapping[str, str]) -> None:
    """Keep libraries that are not imported yet from talking, unless the user set them otherwise."""
    for name, value in _QUIET.items():
        environ.setdefault(name, value)


@contextmanager
def logging_to_stderr(level: int) -> Iterator[None]:
    """Show our log from `level` up, and warnings of everybody, while the context lasts."""
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    before = {name: logging.getLogger(name).level for name in OURS}
    logging.getLogger().addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        for name, old in before.items():
            logging.getLogger(name).setLevel(old)


def write_as(formatter: logging.Formatter, *, at_least: int) -> None:
    """Have what goes to stderr look otherwise, and our log be shown from a lower level on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _StderrHandler):
            handler.setFormatter(formatter)
    for name in OURS:
        logger = logging.getLogger(name)
        logger.setLevel(min(logger.level or at_least, at_least))


class _StderrHandler(logging.Handler):
    """Asks for stderr at each line, because a progress bar stands in for it for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)
