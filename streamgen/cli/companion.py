"""A program that runs beside this one: started again where it ends, ended with this one.

It is told to end by the end of its stdin, which comes even where this program is killed. Knows
nothing of what it does.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Lock, Thread
from types import TracebackType
from typing import IO, Any, Self  # Any: what Popen takes

logger = logging.getLogger(__name__)

#: What it is given to leave by itself.
LEAVE_S = 5.0
#: Between its end and its next start: this at first, twice as long each time, this at most.
PAUSES_S = (1.0, 30.0)
#: Whoever lived for so long is started again at once.
STEADY_S = 60.0


class Companion:
    """Lives while its context lasts; what it says goes to the log, the same thing once."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        pauses_s: tuple[float, float] = PAUSES_S,
        leave_s: float = LEAVE_S,
        log: Callable[[int, str], None] | None = None,
    ) -> None:
        """log: told the level and the line; None is our log."""
        self._name = name
        self._command = list(command)
        self.environ = dict(environ)
        self._pauses_s = pauses_s
        self._leave_s = leave_s
        self._log = log or self._to_log
        self._last_said: dict[int, str] = {}
        self._ended = Event()
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread = Thread(target=self._keep_alive, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._ended.set()
            process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(self._leave_s)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join()

    def _keep_alive(self) -> None:
        pause_s = self._pauses_s[0]
        while True:
            began_s = time.monotonic()
            code = self._live()
            if self._ended.is_set():
                return
            if time.monotonic() - began_s >= STEADY_S:
                pause_s = self._pauses_s[0]
            if code != 2:  # then it has said why in a sentence of its own
                self._tell(logging.WARNING, f"it ended with {code} and is started again")
            if self._ended.wait(pause_s):
                return
            pause_s = min(2 * pause_s, self._pauses_s[1])

    def _live(self) -> int:
        """Start it and wait for its end; return its exit code."""
        with self._lock:
            if self._ended.is_set():
                return 0
            process = self._process = self._start()
        said = ((process.stdout, logging.INFO), (process.stderr, logging.WARNING))
        readers = [Thread(target=self._listen, args=each, daemon=True) for each in said]
        for reader in readers:
            reader.start()
        code = process.wait()
        for reader in readers:
            reader.join()
        with self._lock:
            if process.stdin is not None:
                process.stdin.close()
        return code

    def _start(self) -> subprocess.Popen[str]:
        # Ctrl-C is for this program, which then lets its companion go.
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        return subprocess.Popen(
            self._command,
            env=self.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            **apart,
        )

    def _listen(self, pipe: IO[str], level: int) -> None:
        with pipe:
            for line in pipe:
                if line.strip():
                    self._tell(level, line.strip().removeprefix("streamgen: "))

    def _tell(self, level: int, line: str) -> None:
        if self._last_said.get(level) != line:
            self._last_said[level] = line
            self._log(level, line)

    def _to_log(self, level: int, line: str) -> None:
        logger.log(level, "%s: %s", self._name, line)
