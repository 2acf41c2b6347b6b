import json
import shutil

import pytest
import torch

from streamgen.errors import ModelError
from streamgen.models.loading import load_model
from streamgen.models.registry import ModelRow, find_model


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
    rewrite(copied / "model_index.json", _class_name="StableDiffusionXLPipeline")
    with pytest.raises(ModelError, match=r"is a StableDiffusionXLPipeline: supported are Stable"):
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


def test_a_hub_model_that_cannot_be_fetched_says_what_to_do():
    row = ModelRow(name="x", location="streamgen-tests/no-such-model", about="")
    with pytest.raises(ModelError, match="not in the local hub cache and cannot be fetched"):
        load_model(row)
