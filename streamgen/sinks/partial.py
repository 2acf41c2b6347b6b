"""A result under a hidden name until it is whole; knows nothing of what is in it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from streamgen.errors import SinkError
from streamgen.sinks.errors import write_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """Where a result is written (`path`) and where it will appear (`target`), side by side."""

    target: Path
    path: Path
    overwrite: bool

    def publish_file(self) -> None:
        """Move the file to its name in one step."""
        if self.target.exists() and not self.overwrite:
            raise SinkError(
                f"output '{self.target}' appeared in the meantime;"
                f" the result is kept as '{self.path}'"
            )
        os.replace(self.path, self.target)

    def publish_folder(self) -> None:
        """Move the folder to its name; one that `check_folder` allows gives way."""
        if self.target.exists():
            check_folder(self.target, overwrite=self.overwrite)
            shutil.rmtree(self.target)
        os.replace(self.path, self.target)

    def discard(self) -> None:
        """Remove what was written, if anything was."""
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)


def claim_file(target: Path, *, source: Path | None, overwrite: bool) -> Partial:
    """Check that a file can be written there, and begin an empty one under a hidden name."""
    check_apart(target, source)
    if target.is_dir():
        raise SinkError(f"output '{target}' is a folder; name a file in it")
    if target.exists() and not overwrite:
        raise SinkError(f"output '{target}' exists; add --overwrite or choose another name")
    _check_parent(target)
    partial = Partial(target=target, path=_hidden(target), overwrite=overwrite)
    try:
        partial.path.open("wb").close()
    except OSError as error:
        raise write_error(target, error) from error
    return partial


def claim_folder(target: Path, *, source: Path | None, overwrite: bool) -> Partial:
    """Check that a folder can appear there, and make an empty one under a hidden name."""
    check_apart(target, source)
    target = target.resolve()
    check_folder(target, overwrite=overwrite)
    _check_parent(target)
    partial = Partial(target=target, path=_hidden(target), overwrite=overwrite)
    try:
        partial.discard()
        partial.path.mkdir()
    except OSError as error:
        raise write_error(target, error) from error
    return partial


def check_folder(target: Path, *, overwrite: bool) -> None:
    """Refuse a folder with anything in it, but for numbered pictures that may be overwritten."""
    if not target.exists():
        return
    if not target.is_dir():
        raise SinkError(f"output '{target}' is a file; name a folder that is new or empty")
    names = [path.name for path in target.iterdir()]
    for name in names:
        if not (name.endswith(".png") and name.removesuffix(".png").isdecimal()):
            raise SinkError(f"output '{target}' holds '{name}'; name a folder that is new or empty")
    if names and not overwrite:
        raise SinkError(f"output '{target}' holds pictures; add --overwrite or choose another name")


def check_apart(target: Path, source: Path | None) -> None:
    """Refuse to write over the input."""
    if source is None:
        return
    is_same = target.resolve() == source.resolve()
    if is_same or (target.exists() and source.exists() and target.samefile(source)):
        raise SinkError(f"output '{target}' is the input; choose another name")


def _check_parent(target: Path) -> None:
    if not target.parent.exists():
        raise SinkError(f"output '{target}': the folder '{target.parent}' does not exist")
    if not target.parent.is_dir():
        raise SinkError(f"output '{target}': '{target.parent}' is not a folder")


def _hidden(target: Path) -> Path:
    return target.with_name(f".{target.stem}.partial{target.suffix}")
