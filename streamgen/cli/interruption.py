"""Ctrl-C and SIGTERM: the first one asks to stop after the frame, the second one stops at once."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Handles both signals while its context lasts; only for the main thread.

    Until `be_gentle` is called, the first signal raises KeyboardInterrupt, too. Signals after the
    one that raised are ignored, so that the cleaning up is not interrupted.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._is_gentle = False
        self._has_raised = False
        self._before: dict[signal.Signals, Any] = {}  # Any: a function, a number or None

    def be_gentle(self) -> None:
        """Let the first signal from now on only set `is_asked`."""
        self._is_gentle = True

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._take) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._is_gentle and not self.is_asked:
            self.is_asked = True
        elif not self._has_raised:
            self._has_raised = True
            raise KeyboardInterrupt
