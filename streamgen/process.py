"""A worker in a process of its own, replaced when it dies or stands still.

The surface of `Worker`: open, put, take, patch, finish, status, groups, close. Frames go through
shared memory, the rest through a pipe; a replaced process gets every stream back with its controls.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from threading import Condition, Event, RLock, Thread
from types import TracebackType
from typing import Any, Self  # Any: plain data, as JSON has it

from streamgen.child import ChildOptions
from streamgen.config import StreamConfig
from streamgen.control_schema import given_again
from streamgen.errors import ConfigError, StreamgenError
from streamgen.frame import Frame
from streamgen.lifeline import START_S, Lifeline, Lost
from streamgen.remote import RemoteStream
from streamgen.shared import FrameSlot

logger = logging.getLogger(__name__)

LOOK_S = 0.1
PATIENCE_S = 5.0


class WorkerProcess:
    """Keeps one child alive and speaks to its worker; may be used by several threads."""

    def __init__(
        self,
        options: ChildOptions,
        *,
        silent_s: float = 3.0,
        stuck_s: float = 60.0,
        on_frame: Callable[[str], None] = lambda name: None,
    ) -> None:
        """silent_s: without any sign of life, stuck_s: in one tick, until the child is replaced.

        on_frame(name): a picture of a stream can be taken; called by a thread of this object.
        """
        self.restarts = 0
        self._options = options
        self._silent_s, self._stuck_s = silent_s, stuck_s
        self._tell_frame = on_frame
        self._streams: dict[str, RemoteStream] = {}
        # `_changing` orders what opens, closes and replaces, and is held while the child is asked;
        # `_lock` guards the table and the slots, and never waits for the child.
        self._changing = RLock()
        self._lock = RLock()
        self._replaced = Condition(self._lock)
        self._is_closed = Event()
        self._lifeline = Lifeline(options, self._receive)
        self._watch = Thread(target=self._watch_over, name="watch", daemon=True)
        self._watch.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Of the process that owns the device now."""
        return self._lifeline.pid

    def open(self, name: str, config: StreamConfig, controls: Mapping[str, object]) -> None:
        """Begin a stream, as `Worker.open` does."""
        with self._changing:
            with self._lock:
                if name in self._streams:
                    raise ConfigError(f"stream {name!r} is open already: choose another name")
                stream = RemoteStream(
                    name=name,
                    config=config,
                    controls=dict(controls),
                    inbox=FrameSlot.create(config.width, config.height),
                    outbox=FrameSlot.create(config.width, config.height),
                )
                self._streams[name] = stream
            try:
                _open_there(self._lifeline, stream)
            except StreamgenError:
                with self._lock:
                    del self._streams[name]
                stream.close()
                raise

    def put(self, name: str, frame: Frame) -> None:
        """Offer a stream's newest frame; while the process is replaced it is lost, and counted."""
        with self._lock:
            self._stream(name).put(frame)
            lifeline = self._lifeline
        with suppress(Lost):  # counted when the process is replaced
            lifeline.tell("frame", name=name)

    def take(self, name: str) -> Frame | None:
        """Return the newest picture of a stream that was not taken yet."""
        with self._lock:
            return self._stream(name).take()

    def patch(
        self,
        name: str,
        changes: Mapping[str, object],
        *,
        hand: str = "api",
        sequence: int | None = None,
        over_s: float = 0.0,
    ) -> dict[str, Any]:
        """Change a stream's controls; the answer is a `Patched` as plain data.

        While the process is replaced this waits for the new one: no change is lost.
        """
        stream, lifeline = self._stream(name), self._lifeline
        said = {"changes": dict(changes), "hand": hand, "sequence": sequence, "over_s": over_s}
        try:
            answer = lifeline.ask("patch", name=name, **said)
        except Lost:
            answer = self._next_life(lifeline).ask("patch", name=name, **said)
        with self._lock:
            return stream.patched(answer)

    def finish(self, name: str, *, is_on: bool = True) -> None:
        """Have what is under way in a stream drawn next, as `Worker.finish` does."""
        self._stream(name)
        with suppress(Lost):  # with the process, all that was under way is
            self._lifeline.ask("finish", name=name, is_on=is_on)

    def status(self, name: str) -> dict[str, Any]:
        """Tell how a stream is doing: a `StreamStatus` as plain data."""
        stream = self._stream(name)
        asked = stream.revision
        try:
            there = self._lifeline.ask("status", name=name)
        except Lost as error:
            there = {"state": "restarting", "failure": str(error)}
        with self._lock:
            stream.take_back(there, asked)
            return stream.merged(there)

    def groups(self) -> list[dict[str, Any]]:
        """Tell what is loaded: a list of `GroupStatus` as plain data."""
        answer: list[dict[str, Any]] = self._lifeline.ask("groups")
        return answer

    def close(self, name: str) -> dict[str, Any]:
        """End a stream and return its last status."""
        with self._changing:
            stream = self._stream(name)
            try:
                last = self._lifeline.ask("close", name=name)
            except Lost as error:
                last = {"state": "closed", "failure": str(error)}
            with self._lock:
                del self._streams[name]
                stream.close()
                status = stream.merged(last)
        status["dropped"]["closed"] = status["dropped"].get("closed", 0) + status["under_way"]
        return {**status, "under_way": 0}

    def end(self) -> None:
        """End all streams and the process."""
        self._is_closed.set()
        with self._replaced:
            self._replaced.notify_all()
        self._watch.join()
        self._lifeline.end(patience_s=PATIENCE_S)
        with self._lock:
            for stream in self._streams.values():
                stream.close()
            self._streams.clear()

    def _stream(self, name: str) -> RemoteStream:
        with self._lock:
            if name not in self._streams:
                raise ConfigError(f"stream {name!r} is not open")
            return self._streams[name]

    def _next_life(self, lifeline: Lifeline) -> Lifeline:
        """Wait until another process has taken over the streams; Lost where none does."""
        with self._replaced:
            self._replaced.wait_for(
                lambda: self._lifeline is not lifeline or self._is_closed.is_set(), START_S
            )
            return self._lifeline

    def _receive(self, name: str) -> None:
        """Take a picture out of shared memory; called by the lifeline's thread."""
        with self._lock:
            is_new = name in self._streams and self._streams[name].receive()
        if is_new:
            self._tell_frame(name)

    def _watch_over(self) -> None:
        while not self._is_closed.wait(LOOK_S):
            why = self._lifeline.failure(silent_s=self._silent_s, stuck_s=self._stuck_s)
            if why is not None:
                self._replace(why)

    def _replace(self, why: str) -> None:
        """Start another process and give it the streams, with the controls that they had."""
        logger.warning("the model process %d is replaced: %s", self._lifeline.pid, why)
        with self._changing:
            self._lifeline.kill()
            with self._lock:
                self.restarts += 1
                streams = list(self._streams.values())
                for stream in streams:
                    stream.lose()
            lifeline = Lifeline(self._options, self._receive)
            for stream in streams:
                try:
                    _open_there(lifeline, stream)
                except StreamgenError as error:
                    stream.failure = str(error)
                    logger.warning("stream %r did not come back: %s", stream.name, error)
            # Known to nobody before it knows the streams.
            with self._replaced:
                self._lifeline = lifeline
                self._replaced.notify_all()


def _open_there(lifeline: Lifeline, stream: RemoteStream) -> None:
    lifeline.ask(
        "open",
        name=stream.name,
        config=asdict(stream.config),
        controls=given_again(stream.controls),
        inbox=stream.inbox.name,
        outbox=stream.outbox.name,
    )


def child_threads(cores: int | None = None) -> int:
    """Return how many threads the networks get: all cores but one, which is the edge's."""
    return max((cores or os.cpu_count() or 1) - 1, 1)
