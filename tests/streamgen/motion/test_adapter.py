"""Folders as diffusers writes them, and those that are not sound."""

import json

import pytest
import torch
from diffusers import MotionAdapter
from safetensors.torch import load_file, save_file

from streamgen.errors import ModelError
from streamgen.motion.adapter import CONFIG, WEIGHTS, read_adapter, shapes_of
from streamgen.motion.layouts import layout_of

FIRST = "down_blocks.0.motion_modules.0"
PE = f"{FIRST}.transformer_blocks.0.pos_embed.pe"


@pytest.fixture
def theirs():
    torch.manual_seed(0)
    return MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_max_seq_length=12,
    )


@pytest.fixture
def folder(theirs, tmp_path):
    place = tmp_path / "swing"
    theirs.save_pretrained(place)
    return place


@pytest.fixture
def rewrite(folder):
    """Returns what changes the tensors of the folder's weights in place."""

    def change(**tensors):
        path = folder / WEIGHTS[0]
        save_file({**load_file(path), **tensors}, path)

    return change


def configure(folder, **changed):
    path = folder / CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def refusal(folder):
    with pytest.raises(ModelError) as caught:
        read_adapter(folder)
    return str(caught.value)


def test_a_folder_of_diffusers_is_read_with_all_its_weights(folder, theirs):
    adapter = read_adapter(folder)

    expected = dict(theirs.named_parameters())
    assert adapter.name == "swing"
    assert adapter.weights.keys() == expected.keys()
    assert all(torch.equal(adapter.weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize("has_middle", [True, False])
def test_shapes_are_those_of_diffusers_at_the_published_size(has_middle):
    config = {"use_motion_mid_block": has_middle}
    with torch.device("meta"):
        theirs = MotionAdapter.from_config(config)

    found = shapes_of(layout_of(config))

    assert found == {name: tuple(each.shape) for name, each in theirs.named_parameters()}


def test_weights_of_one_module_have_their_names_in_it(folder, theirs):
    adapter = read_adapter(folder)
    place = adapter.layout.places[0]

    weights = adapter.module_weights(place)

    module = theirs.get_submodule(place.name)
    assert weights.keys() == {name for name, _ in module.named_parameters()}


def test_weights_in_half_precision_are_read_where_there_are_no_others(theirs, tmp_path):
    place = tmp_path / "half"
    theirs.half().save_pretrained(place, variant="fp16")

    adapter = read_adapter(place)

    weight = theirs.get_parameter(f"{FIRST}.norm.weight")
    assert adapter.weights[f"{FIRST}.norm.weight"].dtype == torch.float32
    assert torch.equal(adapter.weights[f"{FIRST}.norm.weight"], weight.float())


def test_whoever_overwrites_the_file_later_changes_nothing(folder):
    adapter = read_adapter(folder)
    before = {name: weight.clone() for name, weight in adapter.weights.items()}

    path = folder / WEIGHTS[0]
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))

    assert all(torch.equal(adapter.weights[name], before[name]) for name in before)


def test_a_folder_without_positions_is_read(folder):
    path = folder / WEIGHTS[0]
    kept = {k: v for k, v in load_file(path).items() if not k.endswith("pos_embed.pe")}
    save_file(kept, path)

    assert read_adapter(folder).weights.keys() == kept.keys()


def test_other_positions_than_sines_are_refused(folder, rewrite):
    rewrite(**{PE: torch.zeros(1, 12, 8)})

    assert f"'swing': its '{PE}' holds no sinusoidal positions" in refusal(folder)


def test_positions_for_another_number_of_frames_are_refused(folder):
    configure(folder, motion_max_seq_length=32)

    message = refusal(folder)
    assert f"'{PE}' is [1, 12, 8]: by its config.json it must be [1, 32, 8]" in message


def test_a_weight_of_another_shape_is_refused_with_both_sizes(folder, rewrite):
    name = f"{FIRST}.transformer_blocks.0.attn2.to_k.weight"
    rewrite(**{name: torch.zeros(8, 4)})

    assert f"its '{name}' is [8, 4]: by its config.json it must be [8, 8]" in refusal(folder)


def test_a_missing_weight_is_refused_by_name(folder):
    path = folder / WEIGHTS[0]
    name = "mid_block.motion_modules.0.norm.bias"
    save_file({k: v for k, v in load_file(path).items() if k != name}, path)

    assert f"1 of its weights are missing, '{name}' first" in refusal(folder)


def test_weights_of_modules_that_the_config_does_not_tell_of_are_refused(folder):
    configure(folder, use_motion_mid_block=False)

    assert "it has weights 'mid_block.motion_modules.0." in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder, rewrite, value):
    rewrite(**{f"{FIRST}.norm.bias": torch.full((8,), value)})

    assert f"it has NaN or infinite weights ('{FIRST}.norm.bias')" in refusal(folder)


def test_weights_that_are_no_floats_are_refused(folder, rewrite):
    rewrite(**{f"{FIRST}.norm.bias": torch.ones(8, dtype=torch.int64)})

    assert "torch.int64: supported are floats" in refusal(folder)


def test_a_cut_off_file_is_refused(folder):
    path = folder / WEIGHTS[0]
    path.write_bytes(path.read_bytes()[:-9])

    assert f"its {WEIGHTS[0]} is no sound safetensors file" in refusal(folder)


def test_pickled_weights_are_refused_with_the_reason(folder):
    (folder / WEIGHTS[0]).rename(folder / "diffusion_pytorch_model.bin")

    message = refusal(folder)
    assert "diffusion_pytorch_model.bin is not read, for it can run code: convert it" in message


def test_a_folder_without_weights_is_refused(folder):
    (folder / WEIGHTS[0]).unlink()

    assert refusal(folder) == f"motion adapter 'swing': there is no {WEIGHTS[0]} or {WEIGHTS[1]}"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("SparseControlNetModel", "it is a SparseCtrl"),
        ("ControlNetModel", "it is a ControlNet"),
        ("UNetMotionModel", "it is a whole UNet with motion modules"),
        ("AutoencoderKL", "it is a AutoencoderKL: required is a MotionAdapter"),
    ],
)
def test_other_models_are_refused_with_the_reason(folder, kind, message):
    configure(folder, _class_name=kind)

    assert message in refusal(folder)


def test_a_pia_adapter_is_refused_with_the_reason(folder):
    configure(folder, conv_in_channels=9)

    assert "it takes 9 channels instead of the UNet's own (PIA)" in refusal(folder)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read as JSON"), ("[]", "holds a list")]
)
def test_a_config_that_is_no_object_is_refused(folder, text, message):
    (folder / CONFIG).write_text(text)

    assert message in refusal(folder)


def test_a_folder_that_is_not_there_or_a_file_is_refused(folder, tmp_path):
    assert "there is no config.json in" in refusal(tmp_path / "nowhere")
    assert "it is a file: give a folder with config.json" in refusal(folder / WEIGHTS[0])


def test_a_whole_pipeline_is_told_from_an_adapter(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")

    assert "it is a whole pipeline: give a MotionAdapter's" in refusal(tmp_path)
