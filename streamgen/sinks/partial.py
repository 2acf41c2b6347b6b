"""A result under a hidden name until it is whole; knows nothing of what is in it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamgen.errors import SinkError
from streamgen.paths import asking_about
from streamgen.sinks.errors import write_error

# A hidden name is longer than the name it stands for; 255 bytes is the most that systems take.
_KEPT_CHARACTERS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """Where a result is written (`path`) and where it will appear (`target`), on one disk.

    Whole work is never thrown away: if it cannot appear, the error names where it is.
    """

    target: Path
    path: Path
    overwrite: bool

    def publish_file(self) -> None:
        """Move the file to its name in one step."""
        with self._kept():
            if self.overwrite:
                os.replace(self.path, self.target)
            else:
                _move_to_free_name(self.path, self.target)

    def publish_folder(self) -> None:
        """Move the folder to its name, or its files into a folder that is there.

        That folder stays the same: it may be a mount point or where somebody's shell stands.
        """
        aside = _hidden(self.target, inside=self.target)
        with self._kept(aside):
            if not self.target.exists():
                os.rename(self.path, self.target)
                return
            check_folder(self.target, overwrite=self.overwrite)
            replaced = [path for path in self.target.iterdir() if _is_picture(path)]
            if replaced:
                aside.mkdir()
            for path in replaced:
                os.rename(path, aside / path.name)
            for path in sorted(self.path.iterdir()):
                _move_to_free_name(path, self.target / path.name)
            self.path.rmdir()
        shutil.rmtree(aside, ignore_errors=True)

    def discard(self) -> None:
        """Remove what was written, if anything was."""
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def _kept(self, aside: Path | None = None) -> Generator[None, None, None]:
        """Add to any error where the result is, and what gave way to it."""
        try:
            yield
        except (SinkError, OSError) as error:
            said = error if isinstance(error, SinkError) else write_error(self.target, error)
            earlier = f", what it replaces as '{aside}'" if aside and aside.exists() else ""
            raise SinkError(f"{said}; the result is kept as '{self.path}'{earlier}") from error


def claim_file(target: Path, *, source: Path | None, overwrite: bool) -> Partial:
    """Check that a file can be written there, and begin an empty one under a hidden name."""
    with asking_about(f"output '{target}'", SinkError):
        check_apart(target, source)
        if target.is_dir():
            raise SinkError(f"output '{target}' is a folder; name a file in it")
        if os.path.lexists(target) and not overwrite:
            raise SinkError(f"output '{target}' exists; add --overwrite or choose another name")
        _check_parent(target)
    partial = Partial(
        target=target, path=_hidden(target, inside=target.parent), overwrite=overwrite
    )
    try:
        partial.path.open("xb").close()  # x: what has this name already is never ours
    except OSError as error:
        raise write_error(target, error) from error
    return partial


def claim_folder(target: Path, *, source: Path | None, overwrite: bool) -> Partial:
    """Check that a folder can appear there, and make an empty one under a hidden name.

    It is made in a folder that is there, as that may be another disk than the one around it.
    """
    with asking_about(f"output '{target}'", SinkError):
        check_apart(target, source)
        target = target.resolve()
        if source is not None and _holds(target, source):
            raise SinkError(f"output '{target}' holds the input; choose another name")
        check_folder(target, overwrite=overwrite)
        _check_parent(target)
        place = target if target.exists() else target.parent
    partial = Partial(target=target, path=_hidden(target, inside=place), overwrite=overwrite)
    try:
        partial.path.mkdir()
    except OSError as error:
        raise write_error(target, error) from error
    return partial


def check_folder(target: Path, *, overwrite: bool) -> None:
    """Refuse a folder with anything in it, but for numbered pictures that may be overwritten.

    Hidden folders of other runs, ended or not, are no concern of this one.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise SinkError(f"output '{target}' is a file; name a folder that is new or empty")
    paths = [path for path in target.iterdir() if not _is_hidden_result(path)]
    for path in paths:
        if not _is_picture(path):
            name = path.name
            raise SinkError(f"output '{target}' holds '{name}'; name a folder that is new or empty")
    if paths and not overwrite:
        raise SinkError(f"output '{target}' holds pictures; add --overwrite or choose another name")


def check_apart(target: Path, source: Path | None) -> None:
    """Refuse to write over the input."""
    if source is None:
        return
    is_same = target.resolve() == source.resolve()
    if is_same or (target.exists() and source.exists() and target.samefile(source)):
        raise SinkError(f"output '{target}' is the input; choose another name")


def _holds(target: Path, source: Path) -> bool:
    """Say whether the input, or a file that a folder of links leads to, lies in `target`."""
    linked = [path for path in source.iterdir() if path.is_file()] if source.is_dir() else []
    return any(target in path.resolve().parents for path in (source, *linked))


def _check_parent(target: Path) -> None:
    if not target.parent.exists():
        raise SinkError(f"output '{target}': the folder '{target.parent}' does not exist")
    if not target.parent.is_dir():
        raise SinkError(f"output '{target}': '{target.parent}' is not a folder")


def _move_to_free_name(path: Path, target: Path) -> None:
    """Move a file; one that has the name already stays, even if it appears in this moment."""
    taken = SinkError(f"output '{target}' appeared in the meantime")
    try:
        os.link(path, target)
    except FileExistsError as error:
        raise taken from error
    except OSError as error:  # a disk without hard links
        if os.path.lexists(target):
            raise taken from error
        os.rename(path, target)
    else:
        path.unlink()


def _hidden(target: Path, *, inside: Path) -> Path:
    """Return a name that no other run has, neither at the same time nor before."""
    run = f"{os.getpid()}-{secrets.token_hex(4)}"
    stem, suffix = target.stem[:_KEPT_CHARACTERS], target.suffix[:_KEPT_CHARACTERS]
    return inside / f".{stem}.partial-{run}{suffix}"


def _is_hidden_result(path: Path) -> bool:
    return path.name.startswith(".") and ".partial-" in path.name and path.is_dir()


def _is_picture(path: Path) -> bool:
    name = path.name
    return name.endswith(".png") and name.removesuffix(".png").isdecimal() and path.is_file()
