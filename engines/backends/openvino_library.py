"""The import of OpenVINO, without what it does to a process besides."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any  # OpenVINO ships no types: its objects are Any here


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Keep OpenVINO from reporting to its vendor, which `import openvino` alone would do.

    It takes its own stub where the reporting package cannot be imported. Nothing is changed
    where that package is in use already: then somebody else has decided.
    """
    name = "openvino_telemetry"
    if name in sys.modules:
        yield
        return
    # typeshed wants modules, but None is Python's documented way to make an import fail
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


def import_openvino() -> Any:
    """Import and return `openvino`, silently; ImportError or OSError where it cannot run."""
    with without_telemetry():
        return import_module("openvino")


@contextmanager
def root_logger_kept() -> Iterator[None]:
    """Undo what conversion does to the root logger: silenced, and for good where it fails."""
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers
