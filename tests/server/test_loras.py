"""What is told of the LoRAs of a server: which there are, and which are broken."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import save_file

from server.loras import LorasOnOffer
from streamgen.lora.shelf import Shelf

LAYER = "lora_unet_mid_block_attentions_0_proj_in"


@pytest.fixture
def folder(tmp_path):
    """A folder with a LoRA in it."""
    write(tmp_path / "rain.safetensors")
    return tmp_path


def write(path):
    path.parent.mkdir(exist_ok=True)
    parts = {"down": torch.zeros(2, 8), "up": torch.zeros(8, 2)}
    save_file({f"{LAYER}.lora_{part}.weight": value for part, value in parts.items()}, path)


def told(loras):
    return {each.name: (each.state, each.says) for each in loras.look()}


def test_sound_files_are_ready_and_others_say_what_is_wrong(folder):
    (folder / "half.safetensors").write_bytes((folder / "rain.safetensors").read_bytes()[:-3])
    (folder / "old.safetensors").write_bytes(b"PK\x03\x04")

    found = told(LorasOnOffer(Shelf([folder])))

    assert found["rain"] == ("ready", "")
    assert found["half"][0] == found["old"][0] == "broken"
    assert found["half"][1].startswith("It is cut off, or still being written")
    assert found["old"][1] == "It is no safetensors file: convert it, nothing else is read."


def test_a_file_that_was_still_being_written_is_looked_at_again(folder):
    path = folder / "rain.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    loras = LorasOnOffer(Shelf([folder]))
    assert told(loras)["rain"][0] == "broken"

    path.write_bytes(whole)

    assert told(loras) == {"rain": ("ready", "")}


def test_a_file_that_has_not_changed_is_not_read_again(folder):
    path = folder / "rain.safetensors"
    loras = LorasOnOffer(Shelf([folder]))
    loras.look()
    stat = path.stat()
    # Nonsense of the same size and time: only who reads it notices.
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert told(loras) == {"rain": ("ready", "")}


def test_two_files_of_one_name_cannot_be_chosen(folder):
    write(folder / "more" / "rain.safetensors")

    found = told(LorasOnOffer(Shelf([folder, folder / "more"])))

    assert found["rain"][0] == "broken"
    assert "Two files have this name" in found["rain"][1]


def test_nothing_of_a_path_is_told(folder):
    (folder / "half.safetensors").write_bytes(b"x")
    (folder / "gone.safetensors").symlink_to(folder / "nowhere")

    found = LorasOnOffer(Shelf([folder])).look()

    assert str(folder) not in str(found)
