import json
import shutil
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from streamgen.errors import ModelError
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model


@pytest.fixture
def copied(edit_folder, tmp_path):
    return shutil.copytree(edit_folder, tmp_path / "model")


def rewrite(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_an_edit_model_is_told_by_its_index(edit_folder):
    model = load_model(find_model(str(edit_folder)))
    assert (model.kind, model.latent_channels, model.latent_factor) == ("instruct_pix2pix", 6, 8)
    assert (model.schedule.prediction, model.schedule.has_boundary) == ("sample", True)


def test_a_plain_model_is_told_by_its_index(plain_folder):
    model = load_model(find_model(str(plain_folder)))
    assert (model.kind, model.latent_channels, model.latent_factor) == ("img2img", 4, 4)
    assert (model.schedule.prediction, model.schedule.has_boundary) == ("epsilon", False)


def test_a_sentence_becomes_one_embedding_of_fixed_length(edit_folder):
    model = load_model(find_model(str(edit_folder)))
    assert model.text("oil").shape == model.text("a pencil sketch " * 40).shape == (32, 12)
    assert not torch.equal(model.text("oil"), model.text("sketch"))


def test_a_folder_without_an_index_says_what_a_model_is(tmp_path):
    with pytest.raises(ModelError, match=r"there is no model_index.json: a model is a folder in"):
        load_model(find_model(str(tmp_path)))


def test_an_unsupported_pipeline_is_named_with_the_supported_ones(copied):
    rewrite(copied / "model_index.json", _class_name="FluxPipeline")
    with pytest.raises(ModelError, match=r"is a FluxPipeline: supported are Stable"):
        load_model(find_model(str(copied)))


def test_an_index_that_is_no_json_is_an_error(copied):
    (copied / "model_index.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read as JSON"):
        load_model(find_model(str(copied)))


def test_missing_weights_name_the_part(copied):
    (copied / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="its vae cannot be loaded"):
        load_model(find_model(str(copied)))


def test_damaged_weights_name_the_part(copied):
    (copied / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"garbage")
    with pytest.raises(ModelError, match="its unet cannot be loaded"):
        load_model(find_model(str(copied)))


def test_an_unknown_autoencoder_is_named_with_the_supported_ones(copied):
    rewrite(copied / "model_index.json", vae=["diffusers", "AsymmetricAutoencoderKL"])
    with pytest.raises(ModelError, match="it is a AsymmetricAutoencoderKL: supported are Auto"):
        load_model(find_model(str(copied)))


def test_a_unet_with_the_wrong_number_of_channels_is_refused(plain_folder, tmp_path):
    folder = shutil.copytree(plain_folder, tmp_path / "model")
    rewrite(folder / "model_index.json", _class_name="StableDiffusionInstructPix2PixPipeline")
    with pytest.raises(ModelError, match="its UNet has 4 input channels"):
        load_model(find_model(str(folder)))


def test_an_unknown_prediction_type_names_the_model(copied):
    rewrite(copied / "scheduler" / "scheduler_config.json", prediction_type="flow")
    with pytest.raises(ModelError, match="model 'model': scheduler prediction_type 'flow'"):
        load_model(find_model(str(copied)))


WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer"])
def test_a_part_that_is_not_there_is_named_even_for_a_relative_folder(copied, monkeypatch, part):
    shutil.rmtree(copied / part)
    monkeypatch.chdir(copied.parent)
    with pytest.raises(ModelError, match=f"its {part} cannot be loaded: there is no folder /"):
        load_model(find_model("model"))


def test_an_empty_tokenizer_folder_is_an_error(copied, monkeypatch):
    shutil.rmtree(copied / "tokenizer")
    (copied / "tokenizer").mkdir()
    monkeypatch.chdir(copied.parent)
    with pytest.raises(
        ModelError, match="its tokenizer cannot be loaded: there is no tokenizer.json or"
    ):
        load_model(find_model("model"))


@pytest.mark.parametrize("part", WEIGHTS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_name_the_part(copied, part, value):
    path = copied / part / f"{WEIGHTS[part]}.safetensors"
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] = value
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"its {part} cannot be loaded: it has NaN or infinite"):
        load_model(find_model(str(copied)))


def halve(folder, *, named):
    for part, stem in WEIGHTS.items():
        path = folder / part / f"{stem}.safetensors"
        halved = {name: each.half() for name, each in load_file(path).items()}
        path.unlink()
        save_file(halved, path.with_name(f"{stem}{named}.safetensors"), metadata={"format": "pt"})


@pytest.mark.parametrize("named", ["", ".fp16"])
def test_weights_stored_in_fp16_are_computed_with_in_fp32(copied, named):
    halve(copied, named=named)
    model = load_model(find_model(str(copied)))
    for part in (model.unet, model.vae, model.text_encoder):
        assert {each.dtype for each in part.parameters()} == {torch.float32}
    assert model.text("oil").dtype == torch.float32


def test_whole_weights_are_preferred_to_those_in_fp16(copied, edit_folder):
    halve(copied, named=".fp16")
    for part, stem in WEIGHTS.items():
        shutil.copy(edit_folder / part / f"{stem}.safetensors", copied / part)
    ours, theirs = (load_model(find_model(str(each))).unet for each in (copied, edit_folder))
    assert torch.equal(ours.conv_in.weight, theirs.conv_in.weight)


def test_a_small_autoencoder_takes_the_place_of_the_models_own(plain_folder, tmp_path):
    small = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4
    )
    small.save_pretrained(tmp_path / "small")
    row = find_model(str(plain_folder))
    assert isinstance(load_model(row).vae, AutoencoderKL)

    model = load_model(replace(row, tiny_vae=tmp_path / "small"))

    assert isinstance(model.vae, AutoencoderTiny) and isinstance(model.unet, UNet2DConditionModel)
    assert (load_model(row).latent_factor, model.latent_factor) == (4, 8)


def test_a_small_autoencoder_without_weights_is_an_error(plain_folder, tmp_path):
    row = replace(find_model(str(plain_folder)), tiny_vae=tmp_path)
    with pytest.raises(ModelError, match="its vae cannot be loaded: there are no weights in safe"):
        load_model(row)


@pytest.mark.parametrize("part", ["unet/diffusion_pytorch_model", "text_encoder/model"])
def test_a_missing_weight_is_named_and_not_drawn_at_random(copied, part):
    path = copied / f"{part}.safetensors"
    tensors = load_file(path)
    name = sorted(tensors)[0]
    del tensors[name]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="1 of its weights are missing, .* first"):
        load_model(find_model(str(copied)))


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        ("text_encoder/config.json", {"hidden_size": 7}, "its text_encoder cannot be loaded"),
        ("unet/config.json", {"cross_attention_dim": None}, "its unet cannot be loaded"),
        ("model_index.json", {"vae": None}, "its vae cannot be loaded: it is a missing entry"),
        ("model_index.json", {"_class_name": [1]}, r"is a \[1\]: supported are"),
    ],
)
def test_a_nonsensical_config_is_one_sentence_that_names_the_part(copied, file, change, sentence):
    rewrite(copied / file, **change)
    with pytest.raises(ModelError, match=sentence):
        load_model(find_model(str(copied)))
