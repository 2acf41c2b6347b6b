"""The folder of recordings: what is removed, what never is, and who may read."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from server.recorder_files import (
    LEDGER,
    RecordingFolder,
    RecordingLimits,
    RecordingPlace,
    stem_of,
)
from streamgen.errors import ConfigError

NOON_S = 1_767_268_800.0  # 2026-01-01 12:00 UTC


def folder_for(path, **limits):
    made = RecordingFolder(path, RecordingLimits(**{"free_bytes": 0, **limits}))
    made.prepare()
    return made


def written(folder, stem, size=1000):
    """Return the path of a recording that is complete."""
    file = folder.claim(stem)
    file.write(bytes(size))
    file.close()
    return file.path


def test_the_oldest_go_first_and_no_more_than_needed(tmp_path):
    folder = folder_for(tmp_path, folder_bytes=2500)
    paths = [written(folder, stem) for stem in ("c", "a", "d", "b")]

    assert folder.make_room() == ""

    assert [path.exists() for path in paths] == [False, False, True, True]


def test_only_what_was_written_here_is_ever_removed(tmp_path):
    folder = folder_for(tmp_path, folder_bytes=0)
    foreign = tmp_path / "stage-20250101-120000.mp4"
    foreign.write_bytes(bytes(5000))
    replaced = written(folder, "replaced")
    replaced.rename(tmp_path / "kept-under-another-name.mp4")
    replaced.write_bytes(b"somebody else's")
    linked = written(folder, "linked")
    linked.unlink()
    linked.symlink_to(foreign)
    ours = written(folder, "ours")

    folder.make_room()

    assert not ours.exists()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        LEDGER, foreign.name, replaced.name, linked.name, "kept-under-another-name.mp4",
    }  # fmt: skip


def test_a_list_that_was_tampered_with_leads_nowhere(tmp_path):
    folder = folder_for(tmp_path / "recordings", folder_bytes=0)
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(bytes(9))
    inode = outside.stat().st_ino
    (tmp_path / "recordings" / LEDGER).write_bytes(
        f"{inode} ../outside.mp4\n{inode} {outside}\nnonsense\n\xff\n".encode("latin-1")
    )

    assert folder.make_room() == ""

    assert outside.exists()


def test_a_file_that_is_being_written_is_left_alone(tmp_path):
    folder = folder_for(tmp_path, folder_bytes=1500)
    with ExitStack() as stack:
        busy = folder.claim("busy")
        stack.callback(busy.close)
        busy.write(bytes(2000))
        done = written(folder, "done")

        assert folder.make_room() == "all recordings together have reached 1.5e-06 GB"

        assert (busy.path.exists(), done.exists()) == (True, False)
    assert folder.make_room() == ""
    assert not busy.path.exists()


def test_another_server_with_the_same_folder_knows_what_is_ours(tmp_path):
    path = written(folder_for(tmp_path), "first")

    assert folder_for(tmp_path, folder_bytes=0).make_room() == ""

    assert not path.exists()


def test_the_rest_of_the_disk_is_left_free(tmp_path):
    assert folder_for(tmp_path, free_bytes=10**18).make_room() == (
        "less than 1e+09 GB are left on the disk"
    )


def test_no_file_is_written_over_and_others_may_not_read_them(tmp_path):
    folder = folder_for(tmp_path / "made" / "here")
    previous = os.umask(0)
    try:
        paths = [written(folder, "stage") for _ in range(3)]
    finally:
        os.umask(previous)

    assert [path.name for path in paths] == ["stage.mp4", "stage-2.mp4", "stage-3.mp4"]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert (tmp_path / "made" / "here").stat().st_mode & 0o077 == 0


def test_the_list_forgets_what_is_gone(tmp_path):
    folder = folder_for(tmp_path)
    for _ in range(5):
        written(folder, "stage").unlink()

    last = written(folder, "stage")

    assert (tmp_path / LEDGER).read_text() == f"{last.stat().st_ino} {last.name}\n"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("stage_2", "stage_2-20260101-120000"),
        ("../Etc/Pass wd", "etc-pass-wd-20260101-120000"),
        ("Ünïcode\x00", "n-code-20260101-120000"),
        ("-_-", "stream-20260101-120000"),
        ("x" * 300, "x" * 40 + "-20260101-120000"),
    ],
)
def test_files_have_plain_names_with_the_time_of_their_beginning(name, stem):
    assert stem_of(name, NOON_S) == stem


def test_a_folder_that_cannot_be_is_refused_by_name(tmp_path):
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(ConfigError, match="--record-dir '.*file': File exists: give a folder"):
        RecordingPlace(folder=file).prepare()


def test_a_folder_must_hold_one_file_at_least():
    with pytest.raises(ConfigError, match="--record-keep-gb 3: at least the 4 GB of --record-max"):
        RecordingLimits(folder_bytes=3 * 10**9).check()
