"""A recording plays whatever happens to the process or the disk."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import av
import pytest

CHILD = Path(__file__).with_name("recording_child.py")
COUNT, FPS = 90, 30


def recorded_by_a_child_that_is_killed(folder, *options):
    command = [sys.executable, str(CHILD), str(folder), str(COUNT), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            return json.loads(child.stdout.readline())
        finally:
            child.kill()  # SIGKILL: nothing of the process runs any more


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    return folder, recorded_by_a_child_that_is_killed(folder)


def played_s(path):
    """Return until when the file plays; every picture is decoded."""
    with av.open(path) as file:
        pictures = list(file.decode(video=0))
    assert [picture.is_corrupt for picture in pictures] == [False] * len(pictures)
    return pictures[-1].time + 1 / FPS


def test_a_killed_server_leaves_a_file_that_plays_to_within_the_last_second(killed):
    folder, facts = killed

    assert facts["state"] == "recording"
    assert facts["seconds"] == pytest.approx(COUNT / FPS)
    assert COUNT / FPS - 1 < played_s(folder / facts["file"]) <= COUNT / FPS


@pytest.mark.parametrize("lost", [1, 50, 500])
def test_half_a_picture_at_the_end_does_no_harm(tmp_path, killed, lost):
    folder, facts = killed
    torn = tmp_path / "torn.mp4"
    torn.write_bytes((folder / facts["file"]).read_bytes()[:-lost])

    whole = 0
    with av.open(torn) as file, suppress(av.error.InvalidDataError):
        for picture in file.decode(video=0):
            whole += not picture.is_corrupt

    assert whole >= COUNT - 4


def test_a_full_disk_ends_the_recording_with_words_and_keeps_what_was_written(tmp_path):
    most = 100_000

    facts = recorded_by_a_child_that_is_killed(tmp_path, str(most))

    assert facts["state"] == "ended"
    assert facts["why_ended"] == "The recording ended: File too large."
    file = tmp_path / facts["file"]
    assert file.stat().st_size == facts["bytes"] <= most
    assert 0 < facts["seconds"] < COUNT / FPS
    assert played_s(file) == pytest.approx(facts["seconds"], abs=2 / FPS)
