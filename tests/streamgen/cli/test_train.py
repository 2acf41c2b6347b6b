from __future__ import annotations

import pytest


@pytest.mark.parametrize("stage", ["vae", "unet"])
def test_a_stage_that_learns_needs_data(streamgen, tmp_path, stage):
    done = streamgen("train", "tiny", "--stage", stage, "--out", tmp_path)

    assert (done.code, done.out) == (2, "")
    assert f"--stage {stage}: add --data" in done.err and done.err.count("\n") == 1


def test_packaging_needs_no_data(streamgen, tmp_path):
    done = streamgen("train", "tiny", "--stage", "package", "--out", tmp_path)

    assert done.code == 2
    assert "train this stage first" in done.err and "--data" not in done.err


def test_a_folder_without_pictures_is_one_sentence(streamgen, tmp_path):
    (tmp_path / "data").mkdir()
    asked = ("--data", tmp_path / "data", "--out", tmp_path / "out")

    done = streamgen("train", "tiny", "--stage", "vae", *asked)

    assert (done.code, done.out) == (2, "")
    assert "no photos" in done.err and done.err.count("\n") == 1
