from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from streamgen.models.evaluation.report import LIMITS
from streamgen.training.styles import STYLES


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    coarse = np.random.default_rng(2).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((400, 300), Image.Resampling.BICUBIC).save(folder / "one.png")
    return folder


def test_every_score_is_printed_and_written_for_any_folder_of_photos(streamgen, photos, tmp_path):
    report = tmp_path / "scores.json"
    done = streamgen("models", "--evaluate", "tiny", "--photos", photos, "--json", report)

    assert done.code == 0, done.err
    found = json.loads(report.read_text())
    assert all(name in done.out and isinstance(found[name], float) for name in LIMITS)
    assert set(found["styles"]) == {style.name for style in STYLES}
    assert list(found["strength_curve"]) == ["0", "0.25", "0.5", "0.75", "1"]
    assert found["pictures"] == 1


def test_what_cannot_be_scored_is_named(streamgen, tmp_path):
    for options, said in (
        (("--evaluate", "sd-turbo"), "sd-turbo"),
        (("--evaluate", "tiny", "--photos", tmp_path / "none"), "no such folder"),
        (("--evaluate", "tiny", "--photos", tmp_path), "has no picture"),
        (("--json", "tiny"), "ends in .json"),
        (("--json", tmp_path / "none" / "a.json"), "no folder"),
    ):
        done = streamgen("models", *options)
        assert done.code == 2 and said in done.err
