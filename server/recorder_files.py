"""The folder that recordings go to: names, room, and the removal of the oldest; knows no video.

What may be removed is written down beside the files, by name and inode: whatever else lies in the
folder, or was put there under an old name, is never touched. A file that is being written is
locked, so that another process with the same folder leaves it alone, too.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from server.errors import ServerError
from streamgen.errors import ConfigError

if sys.platform != "win32":
    import fcntl

GB = 1_000_000_000
#: Beside the recordings: inode and name of each, oldest first.
LEDGER = ".streamgen-recordings"
#: Files of one recording, and recordings of one name begun in the same second.
MOST_PARTS = 999
_OURS = re.compile(r"[a-z0-9_-]{1,80}\.mp4")
_LONGEST_NAME = 40
_FOR_US_ALONE = 0o600


class RecordingError(ServerError):
    """A recording cannot begin or go on; the message is for the visitor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingLimits:
    """How much is recorded.

    max_bytes: of a file, less its index. max_s: of a recording, however many files it has.
    folder_bytes: of all recordings in the folder; the oldest go first. free_bytes: what is left to
    the rest of the disk. waiting_bytes: in memory, for a disk that is slow.
    """

    max_bytes: int = 4 * GB
    max_s: float = 3600.0
    folder_bytes: int = 20 * GB
    free_bytes: int = GB
    waiting_bytes: int = 32 * 2**20

    def check(self) -> None:
        """Raise ConfigError where the folder could not hold a single file."""
        if self.folder_bytes < self.max_bytes:
            raise ConfigError(
                f"--record-keep-gb {self.folder_bytes / GB:g}: at least the"
                f" {self.max_bytes / GB:g} GB of --record-max-gb"
            )


class RecordingFile:
    """A new file that only the server's user may read; locked until it is closed.

    Writes everything or raises, and after a failure refuses all that would come after the gap.
    """

    def __init__(self, path: Path) -> None:
        """Create the file; FileExistsError where there is one already."""
        self.path = path
        self.size = 0
        self._is_broken = False
        self._file = FileIO(path, "xb", opener=_open_private)
        _lock(self._file)

    @property
    def inode(self) -> int:
        return os.fstat(self._file.fileno()).st_ino

    def write(self, data: bytes) -> int:
        if self._is_broken:
            raise OSError(f"{self.path.name}: nothing is added after a failure")
        left = memoryview(data)
        self._is_broken = True
        while left:
            left = left[self._file.write(left) :]
        self._is_broken = False
        self.size = max(self.size, self._file.tell())
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def cut(self, size: int) -> None:
        """Take back what was written beyond a size, and allow nothing more."""
        self._is_broken = True
        self._file.truncate(size)
        self.size = size

    def keep(self) -> None:
        """Have the disk itself hold what was written."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close it, so that it may be removed; once more does nothing."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file of ours as the folder shows it now."""

    path: Path
    inode: int
    size: int


class RecordingFolder:
    """Where files are made and the oldest are removed; used by any thread, and any process."""

    def __init__(self, folder: Path, limits: RecordingLimits) -> None:
        self._folder = folder
        self._limits = limits

    def prepare(self) -> None:
        """Make the folder where it is missing; ConfigError where nothing can be written to it."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._ledger():
                pass
        except OSError as error:
            says = f"--record-dir '{self._folder}': {error.strerror}: give a folder of your own"
            raise ConfigError(says) from error

    def claim(self, stem: str) -> RecordingFile:
        """Create the next file of a recording: STEM.mp4, STEM-2.mp4 and so on."""
        for number in range(1, MOST_PARTS + 1):
            name = f"{stem}.mp4" if number == 1 else f"{stem}-{number}.mp4"
            try:
                file = RecordingFile(self._folder / name)
            except FileExistsError:
                continue
            self._note(file)
            return file
        raise RecordingError(f"there are {MOST_PARTS} files {stem}*.mp4 already")

    def make_room(self) -> str:
        """Remove the oldest of our files where they are too many.

        Returns why there is still no room, or nothing.
        """
        limits = self._limits
        with self._ledger() as ledger:
            files = self._files(ledger)
            used = sum(each.size for each in files)
            for each in files:
                if used <= limits.folder_bytes:
                    break
                if _remove(each):
                    used -= each.size
        if used > limits.folder_bytes:
            return f"all recordings together have reached {limits.folder_bytes / GB:g} GB"
        if shutil.disk_usage(self._folder).free < limits.free_bytes:
            return f"less than {limits.free_bytes / GB:g} GB are left on the disk"
        return ""

    def _note(self, file: RecordingFile) -> None:
        """Write down that a file is ours, and forget those that are gone."""
        with self._ledger() as ledger:
            kept = [each for each in self._files(ledger) if each.path != file.path]
            lines = [f"{each.inode} {each.path.name}\n" for each in kept]
            lines.append(f"{file.inode} {file.path.name}\n")
            ledger.seek(0)
            ledger.truncate()
            ledger.write("".join(lines).encode())

    @contextmanager
    def _ledger(self) -> Iterator[FileIO]:
        with FileIO(self._folder / LEDGER, "a+", opener=_open_private) as ledger:
            _lock(ledger)
            yield ledger

    def _files(self, ledger: FileIO) -> list[_Entry]:
        """Return what is there of ours, oldest first."""
        ledger.seek(0)
        entries: dict[str, _Entry] = {}
        for line in ledger.readall().decode("ascii", "replace").splitlines():
            inode, _, name = line.partition(" ")
            if not (inode.isdecimal() and _OURS.fullmatch(name)):
                continue
            path = self._folder / name
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode) and found.st_ino == int(inode):
                entries[name] = _Entry(path, found.st_ino, found.st_size)
        return list(entries.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlace:
    """Where recordings go and how much of them is kept."""

    folder: Path
    limits: RecordingLimits = field(default_factory=RecordingLimits)

    def prepare(self) -> None:
        """Make the folder where it is missing; ConfigError where nothing can be written to it."""
        RecordingFolder(self.folder, self.limits).prepare()


def stem_of(name: str, now_s: float) -> str:
    """Return how the files of a recording begin: name of the stream and UTC, [a-z0-9_-] only.

    now_s: seconds since 1970.
    """
    safe = re.sub(r"[^a-z0-9_-]+", "-", name.lower())[:_LONGEST_NAME].strip("-_") or "stream"
    return f"{safe}-{datetime.fromtimestamp(now_s, UTC):%Y%m%d-%H%M%S}"


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, _FOR_US_ALONE)


def _lock(file: FileIO) -> None:
    """Hold a file against other processes, and other users of it here, until it is closed."""
    if sys.platform != "win32":  # where nobody removes a file that is open
        fcntl.flock(file, fcntl.LOCK_EX)


def _remove(entry: _Entry) -> bool:
    """Remove a file unless it is being written; return whether it is gone."""
    try:
        if sys.platform != "win32":
            with FileIO(entry.path) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        entry.path.unlink()
    except OSError:  # held by its writer, or gone, or no longer ours to remove
        return False
    return True
