"""One life of a child process: its pipe, what it answers, and whether it is still alive."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong
from multiprocessing import get_context
from threading import Lock, Thread
from typing import Any  # plain data, as JSON has it

from streamgen import errors
from streamgen.child import ChildOptions, run_child
from streamgen.errors import StreamgenError

#: How long a request may take; models are loaded and sentences read behind the answers.
ANSWER_S = 10.0
#: How long the first one may: the process imports torch before it listens.
START_S = 60.0

_ERRORS: dict[str, type[StreamgenError]] = {
    kind.__name__: kind
    for kind in (errors.ConfigError, errors.ModelError, errors.StreamgenError, errors.Full)
}


class Lost(StreamgenError):
    """The process is gone, or does not answer; it is being replaced."""


class Lifeline:
    """A running child; `on_frame(name)` is called by its own thread."""

    def __init__(self, options: ChildOptions, on_frame: Callable[[str], None]) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._on_frame = on_frame
        self._asked: dict[int, Future[Any]] = {}
        self._lock = Lock()
        self._count = 0
        self._busy_s = 0.0
        # What a process needs to start, torch among it, may take a while: nothing is missed yet.
        self._last_beat: float | None = None
        self._process = context.Process(
            target=run_child, args=(theirs, options), name="streamgen-device", daemon=True
        )
        # Inherited by the child, whose OpenMP reads it before any code of ours runs.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._process.start()
        theirs.close()
        self._reader = Thread(target=self._read, name="child", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def ask(self, do: str, **said: object) -> Any:
        """Ask and wait for the answer; raises what the child raised, or Lost."""
        future: Future[Any] = Future()
        with self._lock:
            self._count += 1
            number = self._count
            self._asked[number] = future
        self.tell(do, id=number, **said)
        patience_s = START_S if self._last_beat is None else ANSWER_S
        try:
            return future.result(patience_s)
        except WaitedTooLong as error:
            raise Lost(f"the model process did not answer {do!r} in {patience_s:g} s") from error

    def tell(self, do: str, **said: object) -> None:
        """Say something that has no answer; Lost where nobody listens."""
        data = json.dumps({"do": do, **said}, separators=(",", ":")).encode()
        try:
            with self._lock:
                self._connection.send_bytes(data)
        except (OSError, ValueError) as error:
            raise Lost("the model process is gone") from error

    def failure(self, *, silent_s: float, stuck_s: float) -> str | None:
        """Say why this child has to be replaced; None where it is well."""
        if not self._process.is_alive():
            return f"it ended with code {self._process.exitcode}"
        if self._last_beat is None:
            return None
        silence = time.monotonic() - self._last_beat
        if silence > silent_s:
            return f"nothing was heard of it for {silence:.1f} s"
        return f"one tick took {self._busy_s:.0f} s" if self._busy_s > stuck_s else None

    def end(self, *, patience_s: float) -> None:
        """Ask it to stop, and kill it where it does not in time."""
        try:
            self.tell("stop")
            self._process.join(patience_s)
        except Lost:
            pass
        self.kill()

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._reader.join()

    def _read(self) -> None:
        try:
            while True:
                message = json.loads(self._connection.recv_bytes())
                if "frame" in message:
                    self._on_frame(message["frame"])
                elif "beat" in message:
                    self._last_beat, self._busy_s = time.monotonic(), message["beat"]
                else:
                    self._settle(message)
        except (EOFError, OSError, TypeError):  # TypeError: closed while it waits
            with self._lock:
                asked, self._asked = self._asked, {}
            for future in asked.values():
                future.set_exception(Lost("the model process is gone"))

    def _settle(self, message: dict[str, Any]) -> None:
        with self._lock:
            future = self._asked.pop(message["id"], None)
        if future is None:
            return
        if "error" in message:
            future.set_exception(_ERRORS.get(message["error"], StreamgenError)(message["says"]))
        else:
            future.set_result(message["ok"])
