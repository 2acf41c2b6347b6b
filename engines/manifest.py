"""What is written beside an artifact: the facts behind its key, size and sha256 of each file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.errors import ArtifactError

MANIFEST = "manifest.json"
SCHEMA = 1

Facts = Mapping[str, object]


def cache_key(facts: Facts) -> str:
    """Return the sha256 of the facts as canonical JSON; a fact that is no plain data raises."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_manifest(
    folder: Path, *, role: str, key: str, facts: Facts, info: Mapping[str, object]
) -> dict[str, Any]:
    """Write the manifest of the files in the folder, all of it safely on disk; return it."""
    files = {}
    for path in sorted(folder.iterdir()):
        sync(path)
        files[path.name] = {"sha256": _sha256(path), "size": path.stat().st_size}
    manifest = {"schema": SCHEMA, "role": role, "key": key, "facts": dict(facts)}
    manifest |= {"info": dict(info), "files": files}
    path = folder / MANIFEST
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
    sync(path)
    sync(folder)
    return manifest


def verified_manifest(folder: Path, key: str) -> dict[str, Any]:
    """Return the manifest; raise ArtifactError where key, facts or files do not agree with it."""
    manifest = read_manifest(folder / MANIFEST)
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


def looks_whole(folder: Path, key: str) -> bool:
    """Tell whether the manifest is of this key and its files have their sizes; reads none."""
    try:
        manifest = read_manifest(folder / MANIFEST)
        sizes = {name: (folder / name).stat().st_size for name in manifest["files"]}
    except (ArtifactError, OSError):
        return False
    wanted = {name: file["size"] for name, file in manifest["files"].items()}
    return bool(manifest["key"] == key) and sizes == wanted


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest; raise ArtifactError where it is unreadable or incomplete."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path.name} cannot be read: {error}") from error
    required = {"schema", "role", "key", "facts", "info", "files"}
    if not isinstance(manifest, dict) or required - manifest.keys():
        raise ArtifactError(f"{path.name} is incomplete")
    return manifest


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
