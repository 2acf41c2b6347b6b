"""A lock between processes on a file; the system lets go of it when its holder dies."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _acquire(descriptor: int) -> None:
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
                return
            except OSError:  # LK_LOCK gives up after ten seconds; a build may take longer
                continue

    def _try(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _try(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def file_lock(path: Path, *, busy: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock on `path`, waiting for whoever holds it; the file is made and left there.

    busy: called again and again while another holds it; what it raises ends the wait.
    """
    with _opened(path) as descriptor:
        if busy is None:
            _acquire(descriptor)
        else:
            while not _try(descriptor):
                busy()
        try:
            yield
        finally:
            _release(descriptor)


@contextmanager
def free_lock(path: Path) -> Iterator[bool]:
    """Hold the lock if nobody else does, and tell whether it is held; does not wait."""
    with _opened(path) as descriptor:
        held = _try(descriptor)
        try:
            yield held
        finally:
            if held:
                _release(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
