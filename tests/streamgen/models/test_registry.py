from dataclasses import replace

import pytest

from streamgen.errors import ConfigError, ModelError
from streamgen.models.registry import TABLE, find_model, with_motion


def test_names_of_the_table_are_found():
    assert [find_model(row.name) for row in TABLE] == list(TABLE)


def test_a_folder_is_a_model(tmp_path):
    assert find_model(str(tmp_path)).location == tmp_path


def test_owner_slash_name_is_a_hub_repository():
    row = find_model("stabilityai/sd-turbo")
    assert row.is_on_hub and row.location == "stabilityai/sd-turbo"


@pytest.mark.parametrize("name", ["tinny", "./no/such/folder", "/no/such/folder", "a/b/c", ""])
def test_anything_else_is_an_error_that_lists_the_models(name):
    with pytest.raises(
        ModelError, match=r"choose tiny, sd-turbo, sdxl-turbo, sd15-lcm, a diffusers"
    ):
        find_model(name)


@pytest.mark.parametrize("size", [(100, 256), (256, 32), (256, 4096), (0, 0), (-8, 256)])
def test_a_size_the_model_cannot_take_is_named_with_the_sizes_it_can(size):
    with pytest.raises(ConfigError, match=f"^size {size[0]}x{size[1]}: tiny takes a .* from 64 to"):
        find_model("tiny").check_size(*size)


def test_with_an_adapter_it_counts_and_without_there_is_no_word_of_it():
    plain = replace(find_model("tiny"), controls={"steps": 2})
    own = replace(plain, motion="swing")
    weak = replace(own, controls={"motion_strength": 0.5})

    assert with_motion(plain, "auto") == plain and not plain.has_motion
    assert with_motion(own, "auto").controls == {"steps": 2, "motion_strength": 1.0}
    assert with_motion(weak, "auto").controls == {"motion_strength": 0.5}
    assert with_motion(weak, "none").controls == {}
    assert with_motion(own, "none").motion == "none"
    asked = with_motion(plain, "animatelcm")
    assert asked.has_motion and asked.motion == "animatelcm"
    assert asked.controls == {"steps": 2, "motion_strength": 1.0}
    assert with_motion(asked, "auto") == asked
