"""A session's stream at the desk, and the one of another size that is about to replace it.

Knows frames and controls; no peers and no time-outs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any  # plain data, as JSON has it

from server.desk import Desk, Snapshot
from server.nouns import StreamFacts
from server.rules import SessionRules
from streamgen.config import StreamConfig
from streamgen.control_schema import given_again
from streamgen.errors import StreamgenError
from streamgen.frame import Frame
from streamgen.sources.geometry import Size

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One stream at the desk; every size is another one."""

    name: str
    size: Size
    config: StreamConfig


class SessionStream:
    """Draws a session's frames; changes its size without a break.

    A new size is loaded beside the old one. Once it is there `feeding` is its size: frames come in
    that size, and its first picture ends the old one.
    """

    def __init__(
        self, desk: Desk, rules: SessionRules, name: str, *, show: Callable[[Frame], None]
    ) -> None:
        """show: called with the newest pictures, on the event loop."""
        self._desk, self._rules, self._name, self._show = desk, rules, name, show
        self._count = 0
        self._now: Part | None = None
        self._next: Part | None = None
        self._is_next_fed = False
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def size(self) -> Size:
        """Of the pictures that are shown."""
        return self._part.size

    @property
    def wanted_size(self) -> Size:
        """Of the pictures that will be shown when what is asked for is loaded."""
        return (self._next or self._part).size

    @property
    def feeding(self) -> Size:
        """Of the frames that it wants now."""
        return self._next.size if self._next and self._is_next_fed else self.size

    @property
    def is_changing(self) -> bool:
        """Whether another size is on its way."""
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
        self._now = await self._opened(size, controls)
        self._desk.subscribe(self._now.name, self._show)

    def put(self, frame: Frame) -> None:
        """Offer a frame to the stream of its size; from any thread."""
        for part in (self._next if self._is_next_fed else None, self._now):
            if part and (frame.width, frame.height) == (part.size.width, part.size.height):
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

    async def resize(self, size: Size) -> None:
        """Load another size and change to it when it draws; the last wish counts."""
        if size == self.wanted_size:
            return
        self._drop_next()
        if size == self.size:
            return
        status = await self._desk.status(self._part.name)
        part = await self._opened(size, given_again(status["controls"]))
        self._next, self._is_next_fed = part, False
        self._desk.subscribe(part.name, lambda frame: self._change(part, frame))

    def look(self, snapshot: Snapshot) -> str | None:
        """See to a change of size; return why there is none, where it failed."""
        if self._next is None:
            return None
        there = snapshot.streams.get(self._next.name, {})
        if there.get("state") == "live":
            self._is_next_fed = True
        if there.get("state") != "failed":
            return None
        size = self._next.size
        self._drop_next()
        return f"size {size}: {there.get('failure')}"

    def facts(self, snapshot: Snapshot) -> StreamFacts:
        """Tell what draws the pictures."""
        group = self.group(snapshot)
        return StreamFacts(
            model=self._part.config.model,
            width=self.size.width,
            height=self.size.height,
            backend=group.get("backend"),
            precision=group.get("precision"),
        )

    def status(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """Return what the desk told of it; empty where it told nothing."""
        return snapshot.streams.get(self._part.name, {})

    def group(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """Return what the desk told of its networks; empty where it told nothing."""
        size = {"model": self._part.config.model, "width": self.size.width}
        size["height"] = self.size.height
        for group in snapshot.groups:
            if all(group["config"][key] == value for key, value in size.items()):
                return group
        return {}

    async def close(self) -> None:
        """End it at the desk."""
        names, self._now, self._next = self.names, None, None
        for name in names:
            self._close_soon(name)
        await asyncio.gather(*self._closing)

    def _change(self, part: Part, frame: Frame) -> None:
        """Show a size that has drawn its first picture, and leave the old one."""
        if part is not self._next or self._now is None:
            return
        self._close_soon(self._now.name)
        self._now, self._next, self._is_next_fed = part, None, False
        self._desk.subscribe(part.name, self._show)
        self._show(frame)

    async def _opened(self, size: Size, controls: Mapping[str, object]) -> Part:
        config = self._rules.config(size)
        self._count += 1
        part = Part(name=f"{self._name}#{self._count}", size=size, config=config)
        await self._desk.open(part.name, config, controls)
        return part

    def _drop_next(self) -> None:
        part, self._next, self._is_next_fed = self._next, None, False
        if part is not None:
            self._close_soon(part.name)

    def _close_soon(self, name: str) -> None:
        """Close a stream at the desk, which may be slow to do so."""
        task = asyncio.create_task(self._closed(name), name="close-stream")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _closed(self, name: str) -> None:
        try:
            await self._desk.close(name)
        except StreamgenError as error:
            logger.warning("a stream did not close: %s", error)
