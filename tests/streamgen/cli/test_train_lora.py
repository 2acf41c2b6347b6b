from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from streamgen.cli import parse


def test_pairs_that_are_not_there_are_one_sentence(streamgen, tmp_path):
    asked = ("--drawn", tmp_path / "drawn", "--out", tmp_path / "style.safetensors")

    done = streamgen("train", "lora", *asked)

    assert (done.code, done.out) == (2, "")
    assert f"photos '{tmp_path / 'photos'}': there is no such folder" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "no action: choose tiny, lora"),
        (("lroa",), "unknown action 'lroa': choose tiny, lora; did you mean lora?"),
        (("lora", "--drawn", "d"), "required: --out"),
        (("lora", "--drawn", "d", "--out", "a.bin"), "give a file that ends in .safetensors"),
        (("lora", "--rank", "few"), "'few': give a whole number from 1 on"),
        (("lora", "--steps", "3", "--minutes", "2"), "not allowed with argument --steps"),
        (("tiny", "--stage", "package", "--drawn", "d"), "unknown option '--drawn'"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(streamgen, arguments, sentence):
    done = streamgen("train", *arguments)

    assert (done.code, done.out) == (2, "")
    assert sentence in done.err and done.err.count("\n") == 1


def test_the_defaults_are_four_minutes_without_a_prompt():
    args = parse(["train", "lora", "--drawn", "d", "--out", "a.safetensors"])

    assert (args.model, args.prompt, args.rank) == ("tiny", "", 8)
    assert (args.minutes, args.steps, args.photos) == (4.0, None, None)


@pytest.mark.slow
def test_a_lora_is_trained_and_said_to_be_where_it_is(streamgen, tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for name in ("photos", "drawn"):
        (tmp_path / name).mkdir()
        noise.save(tmp_path / name / "one.png")
    out = tmp_path / "loras" / "noise.safetensors"
    asked = ("--drawn", tmp_path / "drawn", "--out", out, "--size", "64", "--batch", "1")

    done = streamgen("train", "lora", *asked, "--steps", "1", "--rank", "1")

    sheet = tmp_path / "loras" / "noise.training" / "sheet.png"
    assert done.code == 0
    assert f"LoRA: {out}\n" in done.out and f"contact sheet: {sheet}" in done.out
    assert out.is_file() and sheet.is_file()
