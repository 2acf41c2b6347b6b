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


@pytest.mark.parametrize(
    ("stage", "balance", "sentence"),
    [
        ("vae", "texture=6", "--balance has no effect on --stage vae: it is for motion"),
        ("motion", "blur=6", "balance 'blur': choose latent, texture"),
        ("motion", "texture", "'texture': write NAME=N, several with commas between"),
    ],
)
def test_what_cannot_be_balanced_is_told_first(streamgen, tmp_path, stage, balance, sentence):
    asked = ("--data", tmp_path, "--out", tmp_path / "out", "--balance", balance)

    done = streamgen("train", "tiny", "--stage", stage, *asked)

    assert (done.code, done.out) == (2, "")
    assert sentence in done.err and done.err.count("\n") == 1
