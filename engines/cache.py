"""Built networks on disk, found again by a hash of everything that made them.

Layout: `<root>/engines/v1/<role>/<key[:2]>/<key>/` with the artifact's files and, written last,
`manifest.json`. The whole keeps below a size: the longest unused artifacts make room for a new
one. Knows nothing of torch or of any backend.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import ArtifactError, CacheUnusable
from engines.folders import discard, is_artifact, new_folder, set_aside, sweep, touch
from engines.locks import file_lock, free_lock
from engines.manifest import (
    MANIFEST,
    SCHEMA,
    Facts,
    cache_key,
    looks_whole,
    read_manifest,
    sync,
    verified_manifest,
    write_manifest,
)

logger = logging.getLogger(__name__)

#: Room for two batch sizes of the largest supported UNets in fp32.
MAX_BYTES = 8 * 2**30
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


def cache_root(environ: Mapping[str, str]) -> Path:
    """Return `$STREAMGEN_CACHE`, or `~/.cache/streamgen` where that is not set."""
    named = environ.get("STREAMGEN_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "streamgen"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """One artifact on disk; `built` is True in the process that has just made it."""

    role: str
    key: str
    folder: Path
    size_bytes: int
    used_at: float
    info: Mapping[str, object]
    built: bool = False


class EngineCache:
    """Artifacts under one root folder, shared by all processes that use it.

    max_bytes: after a build, the longest unused artifacts beyond it are deleted; not those that
    this object has given out, so that the networks of one model do not drive each other away.
    """

    def __init__(self, root: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self._given: set[str] = set()

    def folder(self, role: str, key: str) -> Path:
        """Return where an artifact lies or would lie."""
        return self.root / "engines" / "v1" / role / key[:2] / key

    def key(self, role: str, facts: Facts) -> str:
        """Return the key of the artifact of these facts."""
        return cache_key({"schema": SCHEMA, "role": role, **facts})

    def log_path(self, role: str, key: str) -> Path:
        """Return where the log of a build that failed is kept."""
        return self.root / "logs" / f"{role}-{key[:12]}.log"

    def has(self, role: str, facts: Facts) -> bool:
        """Tell whether there is such an artifact; contents are not verified, nothing is locked."""
        key = self.key(role, facts)
        return looks_whole(self.folder(role, key), key)

    def obtain(
        self,
        role: str,
        facts: Facts,
        build: Callable[[Path], Mapping[str, object]],
        *,
        busy: Callable[[], None] | None = None,
    ) -> CacheEntry:
        """Return the verified artifact of these facts, building it if there is none.

        build: writes the artifact's files into an empty folder and returns plain data for the
        manifest. Two processes that want one artifact build it once: the second one waits.
        busy: called again and again while it waits; what it raises ends the wait.
        Raises CacheUnusable where the folder cannot be written; what is in it is found even so.
        """
        key = self.key(role, facts)
        with self._explained():
            try:
                with self._lock(key, busy=busy):
                    entry = self._find(role, key) or self._build(role, key, facts, build)
            except OSError as error:
                found = self._read(role, key) if error.errno in _READ_ONLY else None
                if found is None:
                    raise
                entry = found
            self._given.add(key)
            if entry.built:
                self.prune(self.max_bytes, keep=self._given)
        return entry

    def quarantine(self, entry: CacheEntry, reason: str) -> None:
        """Set a bad artifact aside, so that the next one to ask builds it anew."""
        with self._explained(), self._lock(entry.key):
            if entry.folder.exists():
                set_aside(entry.folder, reason)

    def entries(self) -> tuple[CacheEntry, ...]:
        """Return the complete artifacts, the longest unused first; contents are not verified."""
        found: list[CacheEntry] = []
        for path in self.root.glob(f"engines/v1/*/*/*/{MANIFEST}"):
            if not is_artifact(path.parent):
                continue
            try:
                found.append(_entry(path.parent, read_manifest(path)))
            except FileNotFoundError:  # pruned by another process just now
                continue
            except ArtifactError as error:
                logger.warning("engine cache: %s left out: %s", path.parent, error)
        return tuple(sorted(found, key=lambda entry: entry.used_at))

    def prune(self, max_bytes: int, *, keep: Collection[str] = ()) -> tuple[CacheEntry, ...]:
        """Delete the longest unused artifacts until at most `max_bytes` are left; return them.

        What was set aside, and what builds left that were killed, goes first and is not returned.
        keep: keys of which nothing is deleted.
        """
        removed: list[CacheEntry] = []
        with self._explained():
            sweep(self.root, keep=keep, free=lambda key: free_lock(self._lock_path(key)))
            entries = self.entries()
            total = sum(entry.size_bytes for entry in entries)
            for entry in entries:
                if total <= max_bytes:
                    break
                if entry.key in keep:
                    continue
                with self._lock(entry.key):
                    try:
                        discard(entry.folder)
                    except OSError as error:  # Windows keeps files that a process has mapped
                        logger.warning("engine cache: cannot prune %s: %s", entry.folder, error)
                        continue
                total -= entry.size_bytes
                removed.append(entry)
                logger.info("engine cache: pruned %s %s", entry.role, entry.key[:12])
        return tuple(removed)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Put a sentence to a folder that is no folder, is read-only, or is on a full disk."""
        try:
            yield
        except OSError as error:
            raise CacheUnusable(
                f"engine cache {str(self.root)!r} cannot be used: {error.strerror or error}:"
                " set STREAMGEN_CACHE to a folder that can be written and has room"
            ) from error

    def _lock_path(self, key: str) -> Path:
        return self.root / "locks" / f"{key}.lock"

    def _lock(
        self, key: str, *, busy: Callable[[], None] | None = None
    ) -> AbstractContextManager[None]:
        return file_lock(self._lock_path(key), busy=busy)

    def _read(self, role: str, key: str) -> CacheEntry | None:
        """Find without a lock, where none can be had; leaves what is bad as it is."""
        folder = self.folder(role, key)
        try:
            return _entry(folder, verified_manifest(folder, key))
        except (ArtifactError, OSError):
            return None

    def _find(self, role: str, key: str) -> CacheEntry | None:
        folder = self.folder(role, key)
        if not folder.exists():
            return None
        try:
            manifest = verified_manifest(folder, key)
        except ArtifactError as error:
            set_aside(folder, str(error))
            return None
        touch(folder / MANIFEST)
        return _entry(folder, manifest)

    def _build(
        self, role: str, key: str, facts: Facts, build: Callable[[Path], Mapping[str, object]]
    ) -> CacheEntry:
        folder = self.folder(role, key)
        temporary = new_folder(folder)
        try:
            info = build(temporary)
            manifest = write_manifest(temporary, role=role, key=key, facts=facts, info=info)
            os.replace(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync(folder.parent)
        logger.info("engine cache: built %s %s", role, key[:12])
        return _entry(folder, manifest, built=True)


def _entry(folder: Path, manifest: Mapping[str, Any], *, built: bool = False) -> CacheEntry:
    return CacheEntry(
        role=manifest["role"],
        key=manifest["key"],
        folder=folder,
        size_bytes=sum(file["size"] for file in manifest["files"].values()),
        used_at=(folder / MANIFEST).stat().st_mtime,
        info=manifest["info"],
        built=built,
    )
