"""A bar on the terminal with frames, frames per second and time left; nothing where none is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

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


class Show(Protocol):
    """Tells the bar how many frames there are, and a note to stand behind the numbers."""

    def __call__(self, count: int, note: str = "") -> None: ...


@contextmanager
def frame_progress(title: str, total: int | None, *, console: Console) -> Iterator[Show]:
    """Show a bar, or a spinner where the total is not known; yield what tells it the count."""
    columns = (
        SpinnerColumn() if total is None else BarColumn(),
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        _FpsColumn(),
        *(() if total is None else (TextColumn("left"), TimeRemainingColumn())),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=total, note="")

        def show(count: int, note: str = "") -> None:
            bar.update(task, completed=count, note=note)

        yield show
