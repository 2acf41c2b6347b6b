"""ILogger and Logger: where everything that goes wrong inside is told."""

from __future__ import annotations

from fake_tensorrt.arguments import Undefined, instance
from fake_tensorrt.enums import Severity


class ILogger:
    """A base class for the caller's own: its `__init__` must run, and `log` be there."""

    Severity = Severity
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def __init__(self) -> None:
        self._is_born = True

    def log(self, severity: Severity, msg: str) -> None:
        raise Undefined("pure virtual function ILogger::log was called")


class Logger(ILogger):
    """The one that comes along; here it keeps its lines instead of printing them."""

    def __init__(self, min_severity: Severity = Severity.WARNING) -> None:
        super().__init__()
        self.min_severity = instance(min_severity, Severity, "Logger")
        self._lines: list[str] = []

    def log(self, severity: Severity, msg: str) -> None:
        if severity <= self.min_severity:
            self._lines.append(f"[TRT] [{severity.name[0]}] {msg}")


def alive(logger: object, what: str) -> ILogger:
    """Return a logger that can be called."""
    found: ILogger = instance(logger, ILogger, what)
    if not getattr(found, "_is_born", False):
        raise TypeError("ILogger.__init__() must be called when overriding __init__")
    return found


def tell(logger: ILogger, severity: Severity, message: str) -> None:
    """Log a line; the real one prints what the logger raises, and goes on as if nothing was."""
    try:
        logger.log(severity, message)
    except Exception as error:
        raise Undefined(f"the logger raised {error!r}: the real one would swallow it") from error


def error(logger: ILogger, message: str) -> None:
    tell(logger, Severity.ERROR, message)
