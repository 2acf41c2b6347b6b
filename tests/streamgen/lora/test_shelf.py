"""Names of LoRAs, and the files behind them; no file is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from streamgen.errors import ConfigError
from streamgen.lora.shelf import Shelf


@pytest.fixture
def put(tmp_path):
    """Makes empty files, by their paths within the test's folder."""

    def make(*paths):
        for path in paths:
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path

    return make


def test_names_are_those_of_the_files_in_folders_and_of_single_files(put):
    root = put("a/rain.safetensors", "a/Ash.SafeTensors", "b/ink.safetensors", "c/no.safetensors")

    shelf = Shelf([root / "a", root / "b" / "ink.safetensors"])

    assert shelf.names() == ("Ash", "ink", "rain")
    assert shelf.path("rain") == root / "a" / "rain.safetensors"
    assert shelf.path("ink") == root / "b" / "ink.safetensors"


def test_what_else_lies_there_is_no_lora(put):
    root = put("a/notes.txt", "a/.part.safetensors", "a/old.ckpt", "a/deep/in.safetensors")
    (root / "a" / "folder.safetensors").mkdir()

    assert Shelf([root / "a"]).names() == ()


@pytest.mark.skipif(sys.platform == "win32", reason="links take a right there")
def test_a_link_that_cannot_be_followed_spoils_nothing_else(put):
    root = put("a/rain.safetensors")
    (root / "a" / "far.safetensors").symlink_to("x" * 300)

    shelf = Shelf([root / "a"])

    assert shelf.names() == ("rain",)
    with pytest.raises(ConfigError, match="LoRA 'far': choose rain"):
        shelf.path("far")


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_name_that_is_no_line_of_text_is_not_offered(put):
    root = put("a/two\nlines.safetensors", "a/tab\there.safetensors", "a/Ölbild 油絵.safetensors")

    assert Shelf([root / "a"]).names() == ("Ölbild 油絵",)


def test_a_name_that_others_begin_with_is_its_own_file(put):
    root = put("a/rain.safetensors", "a/rain.v2.safetensors", "a/rainy.safetensors")

    shelf = Shelf([root / "a"])

    assert [shelf.path(name).name for name in ("rain", "rain.v2")] == [
        "rain.safetensors",
        "rain.v2.safetensors",
    ]
    with pytest.raises(ConfigError, match="LoRA 'rai': choose rain, rain.v2, rainy"):
        shelf.path("rai")


def test_files_that_come_and_go_count_from_then_on(put):
    root = put("a/rain.safetensors")
    shelf = Shelf([root / "a"])
    assert shelf.names() == ("rain",)

    put("a/ink.safetensors")
    (root / "a" / "rain.safetensors").unlink()

    assert shelf.names() == ("ink",)
    with pytest.raises(ConfigError, match="LoRA 'rain': choose ink"):
        shelf.path("rain")


@pytest.mark.parametrize(
    "name",
    ["../secret", "sub/inner", "/etc/passwd", "rain.safetensors", "", ".", "..", "rain\0", "RAIN"],
)
def test_a_name_is_never_made_into_a_path(put, name):
    root = put("secret.safetensors", "a/rain.safetensors", "a/sub/inner.safetensors")

    with pytest.raises(ConfigError, match="choose rain"):
        Shelf([root / "a"]).path(name)


def test_an_empty_shelf_says_how_to_get_some():
    with pytest.raises(ConfigError, match="LoRA 'x': there are none .* with --loras"):
        Shelf().path("x")


def test_of_many_names_a_sentence_tells_some(put):
    root = put(*(f"a/style-{k:02}.safetensors" for k in range(20)))

    with pytest.raises(ConfigError, match="style-11, or one of 8 more$"):
        Shelf([root / "a"]).path("x")


def test_two_files_of_one_name_are_listed_once_and_not_chosen_between(put):
    root = put("a/rain.safetensors", "b/rain.safetensors")
    shelf = Shelf([root / "a", root / "b"])

    assert shelf.names() == ("rain",)
    with pytest.raises(ConfigError, match="two files have this name, in 'a' and 'b': rename one"):
        shelf.path("rain")


def test_one_file_found_twice_is_one(put):
    root = put("a/rain.safetensors")
    file = root / "a" / "rain.safetensors"
    os.symlink(root / "a", root / "again")

    assert Shelf([file, root / "a", root / "again"]).path("rain") == file


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_a_name_that_cannot_be_said_is_left_out(put):
    root = put("a/rain.safetensors")
    Path(os.fsdecode(bytes(root / "a") + b"/\xff\xfe.safetensors")).touch()

    assert Shelf([root / "a"]).names() == ("rain",)


@pytest.mark.parametrize(
    ("place", "words"),
    [("missing", "there is no such folder or file"), ("notes.txt", "give a folder, or a file")],
)
def test_a_place_that_is_none_is_refused(put, place, words):
    root = put("notes.txt", "rain.safetensors")
    Shelf([root, root / "rain.safetensors"]).check()

    with pytest.raises(ConfigError, match=words):
        Shelf([root / place]).check()


def test_a_folder_that_is_gone_holds_nothing(put):
    root = put("a/rain.safetensors")
    shelf = Shelf([root / "a"])
    (root / "a" / "rain.safetensors").unlink()
    (root / "a").rmdir()

    assert shelf.names() == ()
