"""What happens to the folders of the cache, so that none is ever seen half done."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path

logger = logging.getLogger(__name__)

BAD = ".bad"
TEMPORARY = ".tmp-"
_ARTIFACTS = "engines/v1/*/*/*"


def is_artifact(folder: Path) -> bool:
    """Tell by its name whether a folder is an artifact, not one set aside or half done."""
    return not folder.name.endswith(BAD) and TEMPORARY not in folder.name


def new_folder(final: Path) -> Path:
    """Make and return the empty folder in which an artifact is built; its lock is held.

    What a process left that died over the same is removed.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for leftover in final.parent.glob(f"{final.name}{TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = _temporary(final)
    temporary.mkdir()
    return temporary


def set_aside(folder: Path, reason: str) -> None:
    """Rename a bad artifact, so that it is not found again but can be looked at."""
    bad = folder.with_name(folder.name + BAD)
    shutil.rmtree(bad, ignore_errors=True)
    os.replace(folder, bad)
    logger.warning("engine cache: %s set aside, will be rebuilt: %s", bad, reason)


def discard(folder: Path) -> None:
    """Delete in two steps, so that who is killed in between leaves no half of an artifact."""
    doomed = _temporary(folder)
    shutil.rmtree(doomed, ignore_errors=True)
    os.replace(folder, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sweep(
    root: Path, *, keep: Collection[str], free: Callable[[str], AbstractContextManager[bool]]
) -> None:
    """Delete what was set aside, but for the keys to keep, and what dead processes left.

    free: takes the lock of a key if it can be had, and tells whether it could.
    """
    for bad in root.glob(f"{_ARTIFACTS}{BAD}"):
        if bad.name.removesuffix(BAD) not in keep:
            shutil.rmtree(bad, ignore_errors=True)
    for leftover in root.glob(f"{_ARTIFACTS}{TEMPORARY}*"):
        with free(leftover.name.partition(TEMPORARY)[0]) as is_dead:
            if is_dead:
                shutil.rmtree(leftover, ignore_errors=True)


def touch(path: Path) -> None:
    """Mark a file as used just now."""
    try:
        os.utime(path)
    except OSError as error:  # another user's file, in a shared cache: only the order suffers
        logger.debug("engine cache: cannot mark %s as used: %s", path, error)


def _temporary(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{TEMPORARY}{os.getpid()}")
