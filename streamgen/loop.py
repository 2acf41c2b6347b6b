"""The thread that keeps a worker working; the one place where a worker meets a clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from streamgen.worker import Worker

#: How long the loop rests where nothing waits and nobody wakes it; it then looks for frames whose
#: stream has stopped, and beats.
REST_S = 0.1


class WorkerLoop:
    """Calls `Worker.tick` while there is work and rests where there is none."""

    def __init__(
        self,
        worker: Worker,
        *,
        on_turn: Callable[[], None] = lambda: None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """on_turn: called after every tick and every rest, on the loop's thread."""
        self.error: BaseException | None = None
        self._worker = worker
        self._on_turn = on_turn
        self._clock = clock
        self._is_stopped = Event()
        self._thread = Thread(target=self._run, name="device", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the tick under way end and the thread with it."""
        self._is_stopped.set()
        self._worker.wake.set()
        self._thread.join()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._is_stopped.is_set():
                # Cleared before the look at the inboxes: what is put after it wakes the rest.
                self._worker.wake.clear()
                if not self._worker.tick(self._clock()):
                    self._worker.wake.wait(REST_S)
                self._on_turn()
        except BaseException as error:  # noqa: BLE001 - whoever owns the loop reads it
            self.error = error
