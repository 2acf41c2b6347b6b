"""The asyncio face of the process that draws: calls that wait do so in a pool of their own.

Knows streams by name, frames and plain data; no sessions and no peers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar  # Any: plain data, as JSON has it

from streamgen.child import ChildOptions
from streamgen.config import StreamConfig
from streamgen.errors import StreamgenError
from streamgen.frame import Frame
from streamgen.process import WorkerProcess

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the process told at one moment: its groups, and the streams that were asked for."""

    groups: Sequence[Mapping[str, Any]]
    streams: Mapping[str, Mapping[str, Any]]


class Desk:
    """Hands frames and wishes to the drawing process, and its pictures to whoever subscribed."""

    def __init__(
        self,
        options: ChildOptions,
        pool: Executor,
        *,
        silent_s: float = 3.0,
        stuck_s: float = 60.0,
    ) -> None:
        """pool: for calls that wait; some threads, so that a slow one does not hold up the rest."""
        self._options = options
        self._pool = pool
        self._silent_s, self._stuck_s = silent_s, stuck_s
        self._subscribers: dict[str, Callable[[Frame], None]] = {}
        self._process: WorkerProcess | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Start the process; it may take a while until it answers."""
        self._loop = asyncio.get_running_loop()
        make = partial(
            WorkerProcess,
            self._options,
            silent_s=self._silent_s,
            stuck_s=self._stuck_s,
            on_frame=self._tell,
        )
        self._process = await self._waited(make)

    async def end(self) -> None:
        """End all streams and the process."""
        self._subscribers.clear()
        process, self._process = self._process, None
        if process is not None:
            await self._waited(process.end)

    @property
    def pid(self) -> int:
        """Of the process that draws now; 0 where there is none."""
        return self._process.pid if self._process else 0

    @property
    def restarts(self) -> int:
        """How often the process had to be replaced."""
        return self._process.restarts if self._process else 0

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended; a process that is replaced is running."""
        return self._process is not None

    def subscribe(self, name: str, show: Callable[[Frame], None]) -> None:
        """Have a stream's newest pictures shown, on the event loop, until it is closed."""
        self._subscribers[name] = show

    async def open(self, name: str, config: StreamConfig, controls: Mapping[str, object]) -> None:
        """Begin a stream, as `Worker.open` does; cancelled, it leaves no stream behind."""
        process = self._running()
        opening = asyncio.ensure_future(self._waited(process.open, name, config, controls))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            with suppress(StreamgenError):
                await opening
                await self.close(name)
            raise

    def put(self, name: str, frame: Frame) -> None:
        """Offer a stream's newest frame; copies it, so call it from where pictures are made."""
        self._running().put(name, frame)

    async def patch(
        self,
        name: str,
        changes: Mapping[str, object],
        *,
        hand: str,
        sequence: int | None = None,
        over_s: float = 0.0,
    ) -> dict[str, Any]:
        """Change a stream's controls; waits for a process that is being replaced."""
        patch = partial(self._running().patch, hand=hand, sequence=sequence, over_s=over_s)
        return await self._waited(patch, name, changes)

    async def finish(self, name: str, *, is_on: bool = True) -> None:
        """Have what is under way in a stream drawn next, as `Worker.finish` does."""
        await self._waited(self._running().finish, name, is_on=is_on)

    async def status(self, name: str) -> dict[str, Any]:
        """Tell how a stream is doing: a `StreamStatus` as plain data."""
        return await self._waited(self._running().status, name)

    async def groups(self) -> list[dict[str, Any]]:
        """Tell what is loaded: a list of `GroupStatus` as plain data."""
        return await self._waited(self._running().groups)

    async def snapshot(self, names: Sequence[str]) -> Snapshot:
        """Tell what is loaded and how streams are doing, in one go; without those that closed."""
        return await self._waited(self._look, self._running(), names)

    async def close(self, name: str) -> dict[str, Any]:
        """End a stream and return its last status."""
        self._subscribers.pop(name, None)
        return await self._waited(self._running().close, name)

    def _look(self, process: WorkerProcess, names: Sequence[str]) -> Snapshot:
        streams = {}
        for name in names:
            with suppress(StreamgenError):
                streams[name] = process.status(name)
        return Snapshot(groups=process.groups(), streams=streams)

    def _running(self) -> WorkerProcess:
        if self._process is None:
            raise StreamgenError("the model process was not started, or has ended")
        return self._process

    async def _waited(self, call: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(call, *args, **options))

    def _tell(self, name: str) -> None:
        """Pass the news of a picture on to the loop; called by a thread of the process's."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody looks any more
                self._loop.call_soon_threadsafe(self._show, name)

    def _show(self, name: str) -> None:
        show = self._subscribers.get(name)
        if self._process is None:
            return
        with suppress(StreamgenError):  # closed since
            frame = self._process.take(name)
            if frame is not None and show is not None:
                show(frame)
