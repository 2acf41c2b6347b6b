"""A bar on the terminal with frames, frames per second and time left; nothing where none is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _FpsColumn(ProgressColumn):
    """Frames per second of late."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} fps")


@contextmanager
def frame_progress(
    title: str, total: int | None, *, console: Console
) -> Iterator[Callable[[int], None]]:
    """Show a bar, or a spinner where the total is not known; yield what tells it the count."""
    columns = (
        SpinnerColumn() if total is None else BarColumn(),
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        _FpsColumn(),
        *(() if total is None else (TextColumn("left"), TimeRemainingColumn())),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.update(task, completed=count)
