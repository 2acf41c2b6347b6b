"""The cache against kills, full disks, folders without rights, and other people's artifacts."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from engines.cache import EngineCache
from engines.locks import file_lock, free_lock
from engines.manifest import MANIFEST, verified_manifest

KILLS = 50

#: Obtains entries of many sizes for ever, more than the cache may hold; says when it begins.
OBTAIN_FOR_EVER = """
import random, sys
from pathlib import Path
from engines.cache import EngineCache

draw = random.Random(int(sys.argv[2]))

def build(folder):
    for part in range(draw.randint(1, 4)):
        size = draw.choice([0, 10, 100_000, 2_000_000])
        (folder / f"part{part}.bin").write_bytes(draw.randbytes(size))
    return {"built": True}

print("begins", flush=True)
while True:
    cache = EngineCache(Path(sys.argv[1]), max_bytes=6_000_000)
    cache.obtain("unet", {"number": draw.randint(0, 29)}, build)
"""


def folders(root: Path) -> list[Path]:
    return list(root.glob("engines/v1/*/*/*"))


def half_done(root: Path) -> list[Path]:
    return [folder for folder in folders(root) if ".tmp-" in folder.name]


def kill_at_a_random_moment(root: Path, seed: int) -> None:
    command = [sys.executable, "-c", OBTAIN_FOR_EVER, str(root), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"begins\n"
        with suppress(subprocess.TimeoutExpired):
            process.wait(random.Random(seed).uniform(0.0, 0.06))
        process.kill()
    assert process.returncode == -9


def test_after_50_random_kills_every_entry_is_whole_and_nothing_else_is_left(
    tmp_path: Path,
) -> None:
    interrupted = 0
    for seed in range(KILLS):
        kill_at_a_random_moment(tmp_path, seed)
        interrupted += bool(half_done(tmp_path))
        for entry in EngineCache(tmp_path).entries():
            assert verified_manifest(entry.folder, entry.key)["key"] == entry.key

    cache = EngineCache(tmp_path)
    cache.prune(10**9)

    assert interrupted > KILLS // 10  # else the kills came at the wrong moments
    left = folders(tmp_path)
    assert {entry.folder for entry in cache.entries()} == set(left) != set()
    for folder in left:
        manifest = verified_manifest(folder, folder.name)
        assert {path.name for path in folder.iterdir()} == {MANIFEST, *manifest["files"]}
    for lock in (tmp_path / "locks").iterdir():
        with free_lock(lock) as is_free:
            assert is_free
    assert {path.name for path in tmp_path.iterdir()} == {"engines", "locks"}


def one_file(folder: Path) -> Mapping[str, object]:
    (folder / "model.bin").write_bytes(b"0123456789")
    return {}


def test_what_a_dead_process_left_is_removed_by_the_next_build_of_anything(
    cache: EngineCache,
) -> None:
    entry = cache.obtain("unet", {"number": 1}, one_file)
    leftover = entry.folder.with_name(f"{entry.key}.tmp-1.program")
    shutil.copytree(entry.folder, leftover)

    cache.obtain("unet", {"number": 2}, one_file)

    assert not leftover.exists()


def test_what_a_living_process_is_building_is_left_alone(cache: EngineCache) -> None:
    entry = cache.obtain("unet", {"number": 1}, one_file)
    under_way = entry.folder.with_name(f"{entry.key}.tmp-1")
    shutil.copytree(entry.folder, under_way)

    with file_lock(cache.root / "locks" / f"{entry.key}.lock"):
        cache.obtain("unet", {"number": 2}, one_file)

    assert under_way.exists()


def test_the_artifact_of_another_key_is_not_taken(
    cache: EngineCache, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = cache.obtain("unet", {"number": 1}, one_file)
    wanted = {"number": 2}
    folder = cache.folder("unet", cache.key("unet", wanted))
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(foreign.folder, folder)

    assert not cache.has("unet", wanted)
    assert cache.obtain("unet", wanted, one_file).built
    assert f"belongs to {foreign.key[:12]}" in caplog.text


def test_a_look_finds_what_is_whole_and_not_what_is_cut(cache: EngineCache) -> None:
    facts = {"number": 1}
    before = cache.has("unet", facts)
    entry = cache.obtain("unet", facts, one_file)
    after = cache.has("unet", facts)
    (entry.folder / "model.bin").write_bytes(b"01234")

    assert (before, after, cache.has("unet", facts)) == (False, True, False)
    assert not cache.has("vae_decoder", facts)


#: No file may have more than 100 kB, which is what a full disk is to who writes.
FILL_UP = """
import resource, sys
from pathlib import Path
from engines.cache import EngineCache
from engines.errors import CacheUnusable

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
cache = EngineCache(Path(sys.argv[1]))
try:
    cache.obtain("unet", {"number": 1}, lambda folder: (folder / "a").write_bytes(bytes(200_000)))
except CacheUnusable as error:
    print(error)
"""


def test_a_disk_that_takes_no_more_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILL_UP, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr == ""
    assert "cannot be used: File too large: set STREAMGEN_CACHE to a folder" in done.stdout
    assert folders(tmp_path) == []


#: Gives up root's rights, for which no folder is read-only.
LOOK_WITHOUT_RIGHTS = """
import os, sys
from pathlib import Path
from engines.cache import EngineCache
from engines.errors import CacheUnusable

def build(folder):
    raise AssertionError(folder)

if os.geteuid() == 0:
    os.seteuid(65534)
cache = EngineCache(Path(sys.argv[1]))
print(cache.obtain("unet", {"number": 1}, build).built)
try:
    cache.obtain("unet", {"number": 2}, build)
except CacheUnusable as error:
    print(error)
"""


def test_a_read_only_cache_gives_what_it_has_and_says_what_to_do_for_more() -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, into which only its owner may look
        root = Path(name)
        EngineCache(root).obtain("unet", {"number": 1}, one_file)
        every = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in every:
            folder.chmod(0o555)

        command = [sys.executable, "-c", LOOK_WITHOUT_RIGHTS, name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        for folder in every:
            folder.chmod(0o755)

    assert done.stderr == ""
    found, refused = done.stdout.splitlines()
    assert found == "False"
    assert "Permission denied: set STREAMGEN_CACHE to a folder that can be written" in refused


@pytest.mark.parametrize("module", ["engines.cache", "engines.progress", "engines.build_process"])
def test_what_has_to_be_light_imports_nothing_heavy(module: str) -> None:
    heavy = {"torch", "numpy", "safetensors", "openvino", "onnxruntime", "diffusers"}
    code = f"import {module}, sys; print(sorted({heavy!r} & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_prune_that_was_killed_leaves_no_half_of_an_artifact(cache: EngineCache) -> None:
    entry = cache.obtain("unet", {"number": 1}, one_file)
    doomed = entry.folder.with_name(f"{entry.key}.tmp-{os.getpid()}")
    entry.folder.rename(doomed)  # where the first of two steps has been done
    (doomed / MANIFEST).unlink()

    assert cache.entries() == ()
    assert cache.prune(10**9) == ()
    assert not doomed.exists()
