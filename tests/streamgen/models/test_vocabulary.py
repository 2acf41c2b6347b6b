from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamgen.errors import ModelError
from streamgen.models.registry import ModelRow, find_model
from streamgen.models.vocabulary import FILE, read_vocabulary

Change = Callable[[dict[str, Any]], object]  # Any: whatever JSON holds


def row_of(folder: Path) -> ModelRow:
    return ModelRow(name="mine", location=folder, about="A folder.")


def changed(folder: Path, change: Change) -> ModelRow:
    """A model whose file is that of tiny, but for one thing."""
    content = read_vocabulary(find_model("tiny")).model_dump(mode="json")
    change(content)
    (folder / FILE).write_text(json.dumps(content), encoding="utf-8")
    return row_of(folder)


def test_the_built_in_model_tells_its_styles_and_other_words():
    vocabulary = read_vocabulary(find_model("tiny"))

    assert vocabulary.styles[0].name == "watercolor"
    assert vocabulary.styles[0].thumbnail == "thumbnails/watercolor.webp"
    assert "aquarelle" in vocabulary.styles[0].synonyms
    assert "warm colors" in [word.name for word in vocabulary.palettes]
    assert "at night" in [word.name for word in vocabulary.lights]
    assert set(vocabulary.useful) == {"strength", "steps", "guidance_scale"}
    assert (vocabulary.sizes.low, vocabulary.sizes.high) == (192, 512)


def test_what_is_written_reads_the_same(tmp_path):
    vocabulary = read_vocabulary(find_model("tiny"))
    (tmp_path / FILE).write_text(vocabulary.as_json(), encoding="utf-8")

    assert read_vocabulary(row_of(tmp_path)) == vocabulary


def test_reading_it_takes_no_torch():
    code = (
        "import sys; from streamgen.models.registry import find_model;"
        " from streamgen.models.vocabulary import read_vocabulary;"
        " read_vocabulary(find_model('tiny')); assert 'torch' not in sys.modules"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["sd-turbo", "somebody/something"])
def test_of_a_model_on_a_hub_nothing_is_known(name):
    with pytest.raises(ModelError, match=f"'{name}': nothing is known about what it understands"):
        read_vocabulary(find_model(name))


def test_of_a_folder_without_the_file_nothing_is_known(tmp_path):
    with pytest.raises(ModelError, match=f"'mine': nothing is known .* has no {FILE}"):
        read_vocabulary(row_of(tmp_path))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda content: content.pop("examples"), "examples"),
        (lambda content: content.update(colour="red"), "colour"),
        (lambda content: content["styles"].clear(), "styles"),
        (lambda content: content["styles"][0].update(thumbnail="../a.webp"), "styles.0.thumbnail"),
        (lambda content: content["styles"][0].update(thumbnail="a.svg"), "styles.0.thumbnail"),
        (lambda content: content["styles"][1].update(name="\x1b[2J"), "styles.1.name"),
        (lambda content: content["sizes"].update(low=1000), "sizes"),
        (lambda content: content["useful"].update(delta=content["sizes"]), "useful"),
    ],
)
def test_a_file_with_something_wrong_is_refused_by_its_place(tmp_path, change, place):
    with pytest.raises(ModelError, match=f"{FILE}' is not as it should be: {place}"):
        read_vocabulary(changed(tmp_path, change))


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_a_file_that_is_no_such_json_is_named(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)

    with pytest.raises(ModelError, match=FILE):
        read_vocabulary(row_of(tmp_path))
