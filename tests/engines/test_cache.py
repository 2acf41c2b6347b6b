from __future__ import annotations

import errno
import json
import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from engines.cache import EngineCache, cache_root
from engines.errors import BuildError, CacheUnusable
from engines.manifest import MANIFEST, cache_key

FACTS = {"weights": "abc", "backend": "openvino"}


def write_ten_bytes(folder: Path) -> Mapping[str, object]:
    (folder / "model.bin").write_bytes(b"0123456789")
    return {"note": "new"}


def must_not_build(folder: Path) -> Mapping[str, object]:
    raise AssertionError(f"built again in {folder}")


def build_in_another_process(root: str, log: str, start: object) -> None:
    def build(folder: Path) -> Mapping[str, object]:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"built by {os.getpid()}\n")
        return write_ten_bytes(folder)

    start.wait(30)  # type: ignore[attr-defined]  # a Barrier, which has no public type
    EngineCache(Path(root)).obtain("unet", FACTS, build)


def test_root_is_the_environment_variable_or_below_home() -> None:
    assert cache_root({"STREAMGEN_CACHE": "/somewhere"}) == Path("/somewhere")
    assert cache_root({}) == Path.home() / ".cache" / "streamgen"


def test_key_depends_on_the_facts_but_not_on_their_order() -> None:
    assert cache_key({"a": 1, "b": [2]}) == cache_key({"b": [2], "a": 1})
    assert cache_key({"a": 1, "b": [2]}) != cache_key({"a": 1, "b": [3]})
    assert len(cache_key({})) == 64


def test_second_request_finds_what_the_first_one_built(cache: EngineCache) -> None:
    first = cache.obtain("unet", FACTS, write_ten_bytes)
    second = cache.obtain("unet", FACTS, must_not_build)

    assert (first.built, second.built) == (True, False)
    assert second.folder == cache.root / "engines/v1/unet" / first.key[:2] / first.key
    assert (second.folder / "model.bin").read_bytes() == b"0123456789"
    assert second.info == {"note": "new"}
    assert second.size_bytes == 10


def test_manifest_names_facts_and_size_and_hash_of_each_file(cache: EngineCache) -> None:
    entry = cache.obtain("unet", FACTS, write_ten_bytes)

    manifest = json.loads((entry.folder / MANIFEST).read_text(encoding="utf-8"))

    assert manifest["facts"] == FACTS
    assert manifest["files"]["model.bin"]["size"] == 10
    assert manifest["files"]["model.bin"]["sha256"].startswith("84d89877")


def test_other_facts_or_another_role_are_built_apart(cache: EngineCache) -> None:
    keys = {
        cache.obtain("unet", FACTS, write_ten_bytes).key,
        cache.obtain("vae_decoder", FACTS, write_ten_bytes).key,
        cache.obtain("unet", FACTS | {"weights": "abd"}, write_ten_bytes).key,
    }

    assert len(keys) == 3


def damage(folder: Path, how: str) -> None:
    path = folder / ("model.bin" if how in ("changed", "cut", "gone") else MANIFEST)
    if how == "gone" or how == "no manifest":
        path.unlink()
    elif how == "changed":
        path.write_bytes(b"012345678x")
    elif how == "cut":
        path.write_bytes(b"01234")
    elif how == "other facts":
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest["facts"]["weights"] = "xyz"
        path.write_text(json.dumps(manifest), encoding="utf-8")
    else:
        path.write_text('{"schema": 1', encoding="utf-8")


@pytest.mark.parametrize(
    "how", ["changed", "cut", "gone", "no manifest", "other facts", "half a manifest"]
)
def test_a_damaged_entry_is_set_aside_built_anew_and_logged(
    cache: EngineCache, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    folder = cache.obtain("unet", FACTS, write_ten_bytes).folder
    damage(folder, how)

    entry = cache.obtain("unet", FACTS, write_ten_bytes)

    assert entry.built
    assert (entry.folder / "model.bin").read_bytes() == b"0123456789"
    assert folder.with_name(folder.name + ".bad").is_dir()
    assert "set aside, will be rebuilt" in caplog.text


def test_a_failed_build_leaves_nothing(cache: EngineCache) -> None:
    def fail(folder: Path) -> Mapping[str, object]:
        (folder / "model.bin").write_bytes(b"half")
        raise BuildError("unet: no")

    with pytest.raises(BuildError, match="unet: no"):
        cache.obtain("unet", FACTS, fail)

    assert [path for path in cache.root.rglob("*") if path.name == "model.bin"] == []
    assert cache.obtain("unet", FACTS, write_ten_bytes).built


def test_the_folder_of_a_build_that_died_is_removed_by_the_next(cache: EngineCache) -> None:
    entry = cache.obtain("unet", FACTS, write_ten_bytes)
    leftover = entry.folder.with_name(f"{entry.key}.tmp-1")
    entry.folder.rename(leftover)

    assert cache.entries() == ()
    assert cache.obtain("unet", FACTS, write_ten_bytes).built
    assert not leftover.exists()


def test_quarantine_makes_the_next_request_build(cache: EngineCache) -> None:
    entry = cache.obtain("unet", FACTS, write_ten_bytes)

    cache.quarantine(entry, "openvino cannot read it")
    cache.quarantine(entry, "asked twice")

    assert cache.entries() == ()
    assert cache.obtain("unet", FACTS, write_ten_bytes).built


def filled(cache: EngineCache) -> list[str]:
    keys = []
    for age in (3, 2, 1):  # the first one is the longest unused
        entry = cache.obtain("unet", FACTS | {"age": age}, write_ten_bytes)
        os.utime(entry.folder / MANIFEST, (1_000_000 - age, 1_000_000 - age))
        keys.append(entry.key)
    return keys


def test_entries_come_with_the_longest_unused_first(cache: EngineCache) -> None:
    keys = filled(cache)
    cache.obtain("unet", FACTS | {"age": 3}, must_not_build)

    assert [entry.key for entry in cache.entries()] == [keys[1], keys[2], keys[0]]


def test_an_unreadable_entry_is_left_out_of_the_list(
    cache: EngineCache, caplog: pytest.LogCaptureFixture
) -> None:
    keys = filled(cache)
    (cache.folder("unet", keys[0]) / MANIFEST).write_text("no json", encoding="utf-8")

    assert [entry.key for entry in cache.entries()] == keys[1:]
    assert "left out" in caplog.text


def test_prune_removes_the_longest_unused_until_the_rest_fits(cache: EngineCache) -> None:
    keys = filled(cache)

    removed = cache.prune(20)

    assert [entry.key for entry in removed] == [keys[0]]
    assert [entry.key for entry in cache.entries()] == keys[1:]
    assert cache.prune(0) != () and cache.entries() == ()


def test_prune_removes_what_was_set_aside(cache: EngineCache) -> None:
    entry = cache.obtain("unet", FACTS, write_ten_bytes)
    cache.quarantine(entry, "bad")

    assert cache.prune(1_000) == ()
    assert not entry.folder.with_name(entry.key + ".bad").exists()


def test_what_is_kept_is_not_pruned(cache: EngineCache) -> None:
    keys = filled(cache)

    removed = cache.prune(10, keep={keys[0]})

    assert [entry.key for entry in removed] == keys[1:]


def test_a_build_makes_room_but_not_at_the_cost_of_what_was_given_out(tmp_path: Path) -> None:
    earlier = EngineCache(tmp_path)
    keys = filled(earlier)
    cache = EngineCache(tmp_path, max_bytes=15)
    found = cache.obtain("unet", FACTS | {"age": 3}, must_not_build)
    built = cache.obtain("unet", FACTS, write_ten_bytes)

    assert found.key == keys[0]
    assert {entry.key for entry in cache.entries()} == {found.key, built.key}


def test_what_was_given_out_is_pruned_by_the_next_process(tmp_path: Path) -> None:
    filled(EngineCache(tmp_path))

    built = EngineCache(tmp_path, max_bytes=0).obtain("unet", FACTS, write_ten_bytes)

    assert [entry.key for entry in EngineCache(tmp_path).entries()] == [built.key]


@pytest.mark.parametrize("root", ["/dev/null", "/dev/null/below"])
def test_a_folder_that_cannot_be_used_is_named_with_the_way_out(root: str) -> None:
    with pytest.raises(CacheUnusable, match=f"engine cache '{root}' cannot.*set STREAMGEN_CACHE"):
        EngineCache(Path(root)).obtain("unet", FACTS, write_ten_bytes)


def test_a_full_disk_is_an_error_that_leaves_nothing(cache: EngineCache) -> None:
    def fill_up(folder: Path) -> Mapping[str, object]:
        (folder / "model.bin").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CacheUnusable, match="No space left on device: set STREAMGEN_CACHE"):
        cache.obtain("unet", FACTS, fill_up)

    assert list(cache.root.rglob("model.bin")) == []


def test_two_processes_that_want_one_artifact_build_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, log = context.Barrier(2), tmp_path / "log"
    arguments = (str(tmp_path / "cache"), str(log), start)
    processes = [context.Process(target=build_in_another_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0]
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1
