"""Built networks on disk, found again by a hash of everything that made them.

Layout: `<root>/engines/v1/<role>/<key[:2]>/<key>/` with the artifact's files and, written last,
`manifest.json` with the facts behind the key and size and sha256 of each file. Knows nothing of
torch or of any backend.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import ArtifactError
from engines.locks import file_lock

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
SCHEMA = 1
_BAD = ".bad"
_TEMPORARY = ".tmp-"

Facts = Mapping[str, object]


def cache_root(environ: Mapping[str, str]) -> Path:
    """Return `$STREAMGEN_CACHE`, or `~/.cache/streamgen` where that is not set."""
    named = environ.get("STREAMGEN_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "streamgen"


def cache_key(facts: Facts) -> str:
    """Return the sha256 of the facts as canonical JSON; a fact that is no plain data raises."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


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
    """Artifacts under one root folder, shared by all processes that use it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, role: str, key: str) -> Path:
        """Return where an artifact lies or would lie."""
        return self.root / "engines" / "v1" / role / key[:2] / key

    def obtain(
        self, role: str, facts: Facts, build: Callable[[Path], Mapping[str, object]]
    ) -> CacheEntry:
        """Return the verified artifact of these facts, building it if there is none.

        build: writes the artifact's files into an empty folder and returns plain data for the
        manifest. Two processes that want one artifact build it once: the second one waits.
        """
        key = cache_key({"schema": SCHEMA, "role": role, **facts})
        with self._lock(key):
            entry = self._find(role, key)
            if entry is not None:
                return entry
            return self._build(role, key, facts, build)

    def quarantine(self, entry: CacheEntry, reason: str) -> None:
        """Set a bad artifact aside, so that the next one to ask builds it anew."""
        with self._lock(entry.key):
            if entry.folder.exists():
                _set_aside(entry.folder, reason)

    def entries(self) -> tuple[CacheEntry, ...]:
        """Return the complete artifacts, the longest unused first; contents are not verified."""
        found: list[CacheEntry] = []
        for path in self.root.glob(f"engines/v1/*/*/*/{MANIFEST}"):
            if path.parent.name.endswith(_BAD) or _TEMPORARY in path.parent.name:
                continue
            try:
                found.append(_entry(path.parent, _read_manifest(path)))
            except ArtifactError as error:
                logger.warning("engine cache: %s left out: %s", path.parent, error)
        return tuple(sorted(found, key=lambda entry: entry.used_at))

    def prune(self, max_bytes: int) -> tuple[CacheEntry, ...]:
        """Delete the longest unused artifacts until at most `max_bytes` are left; return them.

        What was set aside goes first and is not returned.
        """
        for bad in self.root.glob(f"engines/v1/*/*/*{_BAD}"):
            shutil.rmtree(bad, ignore_errors=True)
        entries = self.entries()
        total = sum(entry.size_bytes for entry in entries)
        removed: list[CacheEntry] = []
        for entry in entries:
            if total <= max_bytes:
                break
            with self._lock(entry.key):
                try:
                    shutil.rmtree(entry.folder)
                except OSError as error:  # Windows keeps files that a process has mapped
                    logger.warning("engine cache: cannot prune %s: %s", entry.folder, error)
                    continue
            total -= entry.size_bytes
            removed.append(entry)
            logger.info("engine cache: pruned %s %s", entry.role, entry.key[:12])
        return tuple(removed)

    def _lock(self, key: str) -> AbstractContextManager[None]:
        return file_lock(self.root / "locks" / f"{key}.lock")

    def _find(self, role: str, key: str) -> CacheEntry | None:
        folder = self.folder(role, key)
        if not folder.exists():
            return None
        try:
            manifest = _verified_manifest(folder, key)
        except ArtifactError as error:
            _set_aside(folder, str(error))
            return None
        _touch(folder / MANIFEST)
        return _entry(folder, manifest)

    def _build(
        self, role: str, key: str, facts: Facts, build: Callable[[Path], Mapping[str, object]]
    ) -> CacheEntry:
        folder = self.folder(role, key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in folder.parent.glob(f"{key}{_TEMPORARY}*"):
            shutil.rmtree(leftover, ignore_errors=True)  # of a process that died: we hold the lock
        temporary = folder.with_name(f"{key}{_TEMPORARY}{os.getpid()}")
        temporary.mkdir()
        try:
            info = build(temporary)
            manifest = _write_manifest(temporary, role=role, key=key, facts=facts, info=info)
            os.replace(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync(folder.parent)
        logger.info("engine cache: built %s %s", role, key[:12])
        return _entry(folder, manifest, built=True)


def _write_manifest(
    folder: Path, *, role: str, key: str, facts: Facts, info: Mapping[str, object]
) -> dict[str, Any]:
    files = {}
    for path in sorted(folder.iterdir()):
        _sync(path)
        files[path.name] = {"sha256": _sha256(path), "size": path.stat().st_size}
    manifest = {"schema": SCHEMA, "role": role, "key": key, "facts": dict(facts)}
    manifest |= {"info": dict(info), "files": files}
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    _sync(path)
    _sync(folder)
    return manifest


def _verified_manifest(folder: Path, key: str) -> dict[str, Any]:
    manifest = _read_manifest(folder / MANIFEST)
    facts = {"schema": manifest["schema"], "role": manifest["role"], **manifest["facts"]}
    if manifest["key"] != key or cache_key(facts) != key:
        raise ArtifactError(f"{MANIFEST} belongs to {manifest['key'][:12]}")
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{name} is missing")
        if path.stat().st_size != expected["size"]:
            raise ArtifactError(f"{name} has {path.stat().st_size} of {expected['size']} bytes")
        if _sha256(path) != expected["sha256"]:
            raise ArtifactError(f"{name} is damaged")
    return manifest


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.name} cannot be read: {error}") from error
    required = {"schema", "role", "key", "facts", "info", "files"}
    if not isinstance(manifest, dict) or required - manifest.keys():
        raise ArtifactError(f"{path.name} is incomplete")
    return manifest


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


def _set_aside(folder: Path, reason: str) -> None:
    bad = folder.with_name(folder.name + _BAD)
    shutil.rmtree(bad, ignore_errors=True)
    os.replace(folder, bad)
    logger.warning("engine cache: %s set aside, will be rebuilt: %s", bad, reason)


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError as error:  # a cache mounted read-only still serves; only LRU order suffers
        logger.debug("engine cache: cannot mark %s as used: %s", path, error)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
