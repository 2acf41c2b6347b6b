"""The GPU that is not there: who runs on it, what waits on its streams, and what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fake_tensorrt.arguments import Undefined


@dataclass
class Gpu:
    """Set the fields to see what a caller does where the real one would fail.

    highest_level: builds above this optimization level find no kernel. least_workspace: builds
    with less find none either. failing_refits: so many refits fail half way, from the next one on.
    """

    name: str = "Pretend GPU"
    capability: str = "9.0"
    highest_level: int = 5
    least_workspace: int = 0
    failing_refits: int = 0
    _waiting: dict[int, list[tuple[object, Callable[[], None]]]] = field(default_factory=dict)
    _busy: list[tuple[str, object]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enqueue(self, stream: int, engine: object, work: Callable[[], None]) -> None:
        """Put work on a stream: it is done when something later on that stream needs it."""
        with self._lock:
            self._waiting.setdefault(stream, []).append((engine, work))

    def reach(self, stream: int, engine: object) -> None:
        """Do what waits on a stream; what waits for the engine on another is a race."""
        with self._lock:
            ready = self._waiting.pop(stream, [])
            waiting = [
                s for s, works in self._waiting.items() if any(e is engine for e, _ in works)
            ]
        for _, work in ready:
            work()
        if waiting:
            raise Undefined(f"the engine is refitted on stream {waiting[0]}, and used on {stream}")

    def synchronize(self) -> None:
        """Do all that waits on any stream."""
        with self._lock:
            works = [work for stream in self._waiting.values() for _, work in stream]
            self._waiting.clear()
        for work in works:
            work()

    @contextmanager
    def using(self, *things: tuple[str, object]) -> Iterator[None]:
        """Hold things that only one may use at a time: contexts, engines, scratch memory."""
        with self._lock:
            for kind, thing in things:
                if (kind, thing) in self._busy:
                    raise Undefined(f"two at a time use the same {kind}")
            self._busy.extend(things)
        try:
            yield
        finally:
            with self._lock:
                for thing in things:
                    self._busy.remove(thing)
