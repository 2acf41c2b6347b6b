"""Which motion adapters are known, and what is fetched of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub.utils import filter_repo_objects

from streamgen.errors import ModelError
from streamgen.models.hub import unwanted_files
from streamgen.motion.adapter import CONFIG, WEIGHTS, read_adapter
from streamgen.motion.ring_file import RING
from streamgen.motion.table import (
    TABLE,
    WANTED,
    AdapterRow,
    adapter_folder,
    find_adapter,
    own_adapter,
)

#: What lies in its repository.
ANIMATELCM = [
    ".gitattributes",
    "AnimateLCM_sd15_t2v.ckpt",
    "AnimateLCM_sd15_t2v_lora.safetensors",
    "README.md",
    "config.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.safetensors",
]


def fetched(files, *, is_half=False):
    unwanted = unwanted_files(is_half=is_half)
    return sorted(filter_repo_objects(files, allow_patterns=WANTED, ignore_patterns=unwanted))


def test_names_of_the_table_are_found():
    assert [find_adapter(row.name) for row in TABLE] == list(TABLE)
    assert [row.name for row in TABLE if not row.is_on_hub] == ["tiny"]


def test_an_adapter_in_the_package_is_that_of_the_model_it_ships_with():
    row = own_adapter("tiny")

    assert row is not None and read_adapter(adapter_folder(row)).layout.length == 16
    assert own_adapter("sd-turbo") is None


def test_a_table_of_ones_own_is_looked_up_first(tmp_path):
    row = AdapterRow(name="tiny", location=tmp_path / "motion", about="Ours.")

    assert find_adapter("tiny", (row,)) is row
    assert not row.is_on_hub


def test_a_folder_is_an_adapter_by_its_own_name(tmp_path, monkeypatch):
    (tmp_path / "swing").mkdir()
    monkeypatch.chdir(tmp_path)

    row = find_adapter("swing")

    assert (row.name, adapter_folder(row)) == ("swing", tmp_path / "swing")


def test_owner_slash_name_is_a_hub_repository():
    row = find_adapter("owner/name")
    assert row.is_on_hub and row.location == "owner/name"


@pytest.mark.parametrize("name", ["animatdiff", "./no/such/folder", "/no/such", "a/b/c", ""])
def test_anything_else_is_an_error_that_lists_the_adapters(name):
    with pytest.raises(
        ModelError, match="choose tiny, animatediff-v1-5, .*, animatelcm, a MotionAdapt"
    ):
        find_adapter(name)


def test_a_file_is_no_adapter_whatever_its_name(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.safetensors").touch()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ModelError, match="'a/model.safetensors': it is a file: give the folder"):
        find_adapter("a/model.safetensors")


def test_only_what_is_loaded_is_fetched():
    assert fetched(ANIMATELCM) == [CONFIG, WEIGHTS[0]]
    assert fetched([CONFIG, WEIGHTS[0], RING]) == [CONFIG, WEIGHTS[0], RING]


def test_weights_in_fp16_are_fetched_where_there_are_no_others():
    assert fetched([CONFIG, WEIGHTS[1]]) == [CONFIG]
    assert fetched([CONFIG, WEIGHTS[1]], is_half=True) == [CONFIG, WEIGHTS[1]]


def offline(code: str, cache: Path) -> str:
    """Run code that may not reach the network, with a hub cache of its own."""
    environ = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_adapter_that_cannot_be_fetched_says_what_to_do(tmp_path):
    code = """
from streamgen.errors import ModelError
from streamgen.motion.table import adapter_folder, find_adapter
try:
    adapter_folder(find_adapter("owner/name"))
except ModelError as error:
    print(error)
"""
    said = offline(code, tmp_path)
    assert said.startswith("motion adapter 'owner/name': it is not in the local hub cache and can")
    assert said.endswith("check the name and the connection, or give a MotionAdapter's folder")


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_fetched_adapter_is_found_without_a_network(tmp_path, weights):
    repository = tmp_path / "models--wangfuyun--AnimateLCM"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    folder = repository / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    for name in (CONFIG, weights):
        (folder / name).touch()
    code = """
import sys
from streamgen.cli.models_motion import is_here
from streamgen.motion.table import adapter_folder, find_adapter
print(is_here(find_adapter("animatelcm")), is_here(find_adapter("owner/name")))
print(adapter_folder(find_adapter("animatelcm")))
assert "torch" not in sys.modules
"""
    assert offline(code, tmp_path) == f"True False\n{folder}"
