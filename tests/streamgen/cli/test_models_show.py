from __future__ import annotations

import json
from pathlib import Path

from streamgen.models.registry import PACKAGED, find_model
from streamgen.models.vocabulary import read_vocabulary


def test_every_style_and_other_word_is_shown(streamgen):
    done = streamgen("models", "--show", "tiny")

    vocabulary = read_vocabulary(find_model("tiny"))
    assert (done.code, done.err) == (0, "")
    for word in (*vocabulary.styles, *vocabulary.palettes, *vocabulary.lights):
        assert word.name in done.out
    for example in vocabulary.examples:
        assert f"  {example}\n" in done.out
    assert "192 to 512 px" in done.out
    assert str(PACKAGED / "tiny" / "thumbnails") in done.out


def test_all_of_it_is_there_as_json(streamgen):
    found = json.loads(streamgen("models", "--show", "tiny", "--json").out)

    assert Path(found.pop("folder")) == PACKAGED / "tiny"
    assert found == read_vocabulary(find_model("tiny")).model_dump(mode="json")


def test_the_json_goes_into_a_file_that_is_named(streamgen, tmp_path):
    done = streamgen("models", "--show", "tiny", "--json", tmp_path / "words.json")

    assert (done.code, done.out) == (0, "")
    assert json.loads((tmp_path / "words.json").read_text())["model"] == "tiny"


def test_a_model_that_says_nothing_is_an_error_with_its_name(streamgen):
    done = streamgen("models", "--show", "sd-turbo")

    assert (done.code, done.out) == (2, "")
    assert "'sd-turbo': nothing is known about what it understands" in done.err


def test_two_questions_at_once_are_refused(streamgen):
    for other in (["tiny"], ["--evaluate", "tiny"]):
        done = streamgen("models", "--show", "tiny", *other)

        assert done.code == 2
        assert "leave one of them out" in done.err


def test_what_a_folder_says_is_not_taken_for_markup(streamgen, tmp_path):
    text = (PACKAGED / "tiny" / "understands.json").read_text(encoding="utf-8")
    named = text.replace('"name": "watercolor"', '"name": "[red]x[/nothing]"')
    (tmp_path / "understands.json").write_text(named, encoding="utf-8")

    done = streamgen("models", "--show", tmp_path)

    assert done.code == 0
    assert "[red]x[/nothing]" in done.out
