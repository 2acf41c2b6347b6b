import pytest

from streamgen.errors import ConfigError, ModelError
from streamgen.models.registry import TABLE, find_model


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
