"""Shows how builds go on: bars on a terminal, else a line for every step; on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from engines.progress import BuildEvent

#: How far a build is at each step; the steps take times that nobody knows before.
_SHARES = {"exporting": 0.1, "waiting": 0.1, "building": 0.3, "verifying": 0.8, "ready": 1.0}


class Board:
    """Networks that are built one after the other; `begin` names the one that events are of."""

    def __init__(self, titles: Sequence[str], console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.is_live = self.console.is_terminal
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20))
        self._bars = Progress(
            *columns,
            TimeElapsedColumn(),
            TextColumn("{task.fields[stage]}"),
            console=self.console,
            transient=True,
            disable=not self.is_live,
        )
        self._tasks: dict[str, TaskID] = {}
        self._titles = tuple(titles)
        self._title = ""

    def begin(self, title: str) -> None:
        """Take what is told from now on for news of this network."""
        self._title = title
        self._bars.start_task(self._tasks[title])

    def tell(self, event: BuildEvent) -> None:
        """Show a step. It may come from any thread."""
        words = f"{event.stage}, {event.message}" if event.message else event.stage
        if not self.is_live:
            print(f"{self._title}: {words}", file=self.console.file, flush=True)
            return
        task = self._tasks[self._title]
        share = event.share if event.share is not None else _SHARES.get(event.stage)
        self._bars.update(task, stage=words, completed=share)

    def __enter__(self) -> Self:
        for title in self._titles:
            self._tasks[title] = self._bars.add_task(title, total=1.0, start=False, stage="")
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()
