from __future__ import annotations

import json

from streamgen.models.registry import PACKAGED, TABLE
from streamgen.motion.table import TABLE as ADAPTERS


def test_every_model_is_listed_with_what_is_known_of_it(streamgen):
    done = streamgen("models")

    assert done.code == 0
    for row in TABLE:
        assert row.name in done.out and row.about in done.out and row.licence in done.out
    assert "watercolor" in done.out


def test_the_list_is_there_as_json(streamgen):
    rows = json.loads(streamgen("models", "--json").out)

    assert [row["name"] for row in rows] == [row.name for row in TABLE]
    assert rows[0]["files"] == "here"
    assert rows[0]["best size"] == "384x384"


def test_one_model_tells_what_its_configs_say(streamgen):
    found = json.loads(streamgen("models", "tiny", "--json").out)

    index = json.loads((PACKAGED / "tiny" / "model_index.json").read_text())
    scheduler = json.loads((PACKAGED / "tiny" / "scheduler" / "scheduler_config.json").read_text())
    assert found["class"] == index["_class_name"]
    assert found["kind"] == "instruct_pix2pix"
    assert found["prediction type"] == scheduler["prediction_type"]
    assert found["latent channels"] == 16


def test_a_folder_is_described_like_a_model_with_a_name(streamgen):
    done = streamgen("models", PACKAGED / "tiny")

    assert done.code == 0
    assert "AutoencoderTiny" in done.out


def test_a_model_that_is_not_known_is_refused(streamgen):
    done = streamgen("models", "tinny")

    assert (done.code, done.out) == (2, "")
    assert "'tinny': choose tiny, sd-turbo" in done.err


def test_a_config_that_cannot_be_read_is_named(streamgen, tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{")

    done = streamgen("models", tmp_path)

    assert done.code == 2
    assert "unet/config.json' cannot be read as JSON" in done.err


def test_motion_adapters_are_listed_and_told_as_json(streamgen):
    done = streamgen("models", "--motion")
    rows = json.loads(streamgen("models", "--motion", "--json").out)

    assert [row["name"] for row in rows] == [row.name for row in ADAPTERS]
    assert all(text in done.out for row in ADAPTERS for text in (row.name, row.about))
    assert str(ADAPTERS[-1].location) in done.out


def test_adapters_and_a_model_are_asked_for_apart(streamgen):
    done = streamgen("models", "tiny", "--motion")

    assert (done.code, done.out) == (2, "")
    assert "--motion and 'tiny': leave one of them out" in done.err
