"""A session's stream at the desk, and the one with other engines that is about to replace it.

Knows frames and controls; no peers and no time-outs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any  # plain data, as JSON has it

from server.desk import Desk, Snapshot
from server.nouns import EngineWish, StreamFacts, Upcoming
from server.rules import SessionRules
from streamgen.config import StreamConfig
from streamgen.control_schema import given_again
from streamgen.errors import StreamgenError
from streamgen.frame import Frame
from streamgen.sources.geometry import Size

logger = logging.getLogger(__name__)


def size_of(config: StreamConfig) -> Size:
    """Return the size of the pictures that are drawn."""
    return Size(width=config.width, height=config.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One stream at the desk; every `StreamConfig` is another one."""

    name: str
    config: StreamConfig

    @property
    def size(self) -> Size:
        return size_of(self.config)


class SessionStream:
    """Draws a session's frames; changes size, precision and backend without a break.

    The new engines are loaded, and built if need be, beside the old ones, which go on. Once they
    can draw, the frames under way in the old ones are finished, `feeding` is the new size, frames
    go to the new ones, and their first picture ends the old ones.
    """

    def __init__(
        self, desk: Desk, rules: SessionRules, name: str, *, show: Callable[[Frame], None]
    ) -> None:
        """show: called with the newest pictures, on the event loop."""
        self._desk, self._rules, self._name, self._show = desk, rules, name, show
        self._count = 0
        self._now: Part | None = None
        self._next: Part | None = None
        self._is_turning = self._is_next_fed = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def size(self) -> Size:
        """Of the pictures that are shown."""
        return self._part.size

    @property
    def wanted(self) -> StreamConfig:
        """What will draw when what is asked for is there."""
        return (self._next or self._part).config

    @property
    def feeding(self) -> Size:
        """Of the frames that it wants now."""
        return self._next.size if self._next and self._is_next_fed else self.size

    @property
    def is_changing(self) -> bool:
        """Whether other engines are on their way."""
        return self._next is not None

    @property
    def names(self) -> list[str]:
        """Of its streams at the desk."""
        return [part.name for part in (self._now, self._next) if part is not None]

    @property
    def _part(self) -> Part:
        assert self._now is not None, "it was opened before"
        return self._now

    async def open(self, size: Size, controls: Mapping[str, object]) -> None:
        """Begin; ConfigError and Full as `Worker.open` raises them."""
        self._now = await self._opened(self._rules.config(size), controls)
        self._desk.subscribe(self._now.name, self._show)

    def put(self, frame: Frame) -> None:
        """Offer a frame to the newest stream of its size; from any thread."""
        size = Size(frame.width, frame.height)
        for part in (self._next if self._is_next_fed else None, self._now):
            if part and size == part.size:
                with suppress(StreamgenError):  # closed since
                    self._desk.put(part.name, frame)
                return

    async def patch(
        self, changes: Mapping[str, object], *, hand: str, sequence: int | None, over_s: float
    ) -> dict[str, Any]:
        """Change the controls of what is shown, and of what will be."""
        said: dict[str, Any] = {"hand": hand, "sequence": sequence, "over_s": over_s}
        answer = await self._desk.patch(self._part.name, changes, **said)
        if self._next is not None:
            with suppress(StreamgenError):  # it has ended since, or tells so by its status
                await self._desk.patch(self._next.name, changes, **said)
        return answer

    async def stays_at(self) -> Mapping[str, Any] | None:
        """Return its controls where those asked for last have failed, None where they have not."""
        status = await self._desk.status(self._part.name)
        return status["controls"] if status.get("control_failure") else None

    async def change(self, wish: EngineWish) -> None:
        """Load other engines and change to them when they draw; the last wish counts."""
        config = self._rules.changed(self.wanted, wish)
        if config == self.wanted:
            return
        self._drop_next()
        if config == self._part.config:
            return
        status = await self._desk.status(self._part.name)
        self._next = part = await self._opened(config, given_again(status["controls"]))
        self._desk.subscribe(part.name, lambda frame: self._change(part, frame))

    def look(self, snapshot: Snapshot) -> str | None:
        """See to a change of engines; return why there is none, where it failed."""
        part = self._next
        if part is None:
            return None
        there, upcoming = snapshot.streams.get(part.name, {}), _upcoming(_group(snapshot, part))
        failure = there.get("failure") if there.get("state") == "failed" else None
        if upcoming is not None:
            failure = failure or upcoming.failure
        if failure is not None:
            self._drop_next()
            return f"{_difference(part.config, self._part.config)}: {failure}"
        if there.get("state") == "live" and upcoming is None and not self._is_turning:
            self._is_turning = True
            self._do(self._turn(self._part.name, part), "change-engines")
        return None

    def facts(self, snapshot: Snapshot) -> StreamFacts:
        """Tell what draws the pictures, and what will."""
        group = self.group(snapshot)
        return StreamFacts(
            model=self._part.config.model,
            width=self.size.width,
            height=self.size.height,
            backend=group.get("backend"),
            precision=group.get("precision"),
            motion=self._rules.motion_name,
            upcoming=_upcoming(_group(snapshot, self._next or self._part)),
        )

    def status(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """Return what the desk told of it; empty where it told nothing."""
        return snapshot.streams.get(self._part.name, {})

    def group(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """Return what the desk told of its networks; empty where it told nothing."""
        return _group(snapshot, self._part)

    async def close(self) -> None:
        """End it at the desk."""
        names, self._now, self._next = self.names, None, None
        for name in names:
            self._do(self._closed(name), "close-stream")
        await asyncio.gather(*self._tasks)

    async def _turn(self, old: str, part: Part) -> None:
        """Have the old engines finish what they have, and the new ones get the next frame."""
        await self._finish(old, is_on=True)
        if part is self._next:
            self._is_next_fed = True
        elif not self._is_turning:
            await self._finish(old, is_on=False)

    def _change(self, part: Part, frame: Frame) -> None:
        """Show what new engines have drawn first, and leave the old ones."""
        if part is not self._next or self._now is None:
            return
        self._do(self._closed(self._now.name), "close-stream")
        self._now, self._next = part, None
        self._is_turning = self._is_next_fed = False
        self._desk.subscribe(part.name, self._show)
        self._show(frame)

    async def _opened(self, config: StreamConfig, controls: Mapping[str, object]) -> Part:
        self._count += 1
        part = Part(name=f"{self._name}#{self._count}", config=config)
        await self._desk.open(part.name, config, controls)
        return part

    def _drop_next(self) -> None:
        part, was_fed = self._next, self._is_next_fed
        self._next, self._is_turning, self._is_next_fed = None, False, False
        if part is not None:
            self._do(self._closed(part.name), "close-stream")
        if was_fed:
            self._do(self._finish(self._part.name, is_on=False), "go-on")

    def _do(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Have the desk do something that it may be slow at."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, name: str, *, is_on: bool) -> None:
        with suppress(StreamgenError):  # closed since: nothing is under way
            await self._desk.finish(name, is_on=is_on)

    async def _closed(self, name: str) -> None:
        try:
            await self._desk.close(name)
        except StreamgenError as error:
            logger.warning("a stream did not close: %s", error)


def _group(snapshot: Snapshot, part: Part) -> Mapping[str, Any]:
    """Return what the desk told of the networks of a part; empty where it told nothing."""
    config = asdict(part.config)
    return next((group for group in snapshot.groups if group["config"] == config), {})


def _upcoming(group: Mapping[str, Any]) -> Upcoming | None:
    told = group.get("upcoming")
    return None if told is None else Upcoming(**told)


def _difference(config: StreamConfig, other: StreamConfig) -> str:
    """Return in what two differ, as a part of a sentence."""
    parts = [] if size_of(config) == size_of(other) else [f"size {size_of(config)}"]
    for name in ("backend", "precision"):
        value = getattr(config, name)
        parts += [] if value == getattr(other, name) else [f"{name} {value}"]
    return ", ".join(parts)
