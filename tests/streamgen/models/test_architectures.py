import pytest
import torch
from diffusers import AutoencoderTiny

from streamgen.errors import ModelError
from streamgen.models.architectures import NAMES, config_of, make
from streamgen.models.networks import PixelDecoder, PixelEncoder
from streamgen.models.registry import TABLE

#: Parameters as the models' own files have them; of SD-Turbo's text encoder without the projection.
PARAMETERS = {
    "sd-turbo-text": 340_387_840,
    "sd-turbo-unet": 865_910_724,
    "sd15-lcm-unet": 859_602_884,
    "sd15-text": 123_060_480,
    "sd15-unet": 859_520_964,
    "sdxl-turbo-text": 123_060_480,
    "sdxl-turbo-text-2": 694_659_840,
    "sdxl-turbo-unet": 2_567_463_684,
    "taesd": 2_445_063,
    "taesdxl": 2_445_063,
}


def count(module):
    return sum(each.numel() for each in module.parameters())


def test_every_network_has_the_parameters_that_were_published():
    found = {name: count(make(name, device="meta")) for name in NAMES}
    assert found == PARAMETERS


@pytest.mark.parametrize("name", NAMES)
def test_a_small_one_has_the_same_parts_and_less_in_them(name):
    small = make(name, scale=0.1)
    assert 0 < count(small) < 0.1 * PARAMETERS[name]
    assert not any(each.requires_grad for each in small.parameters())


def test_a_seed_means_the_same_weights_and_leaves_torchs_own_alone():
    state = torch.get_rng_state()
    first, again, other = (make("taesd", scale=0.2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)

    def weights(module):
        return torch.cat([each.flatten() for each in module.parameters()])

    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def test_the_weights_have_the_dtype_that_was_asked_for():
    made = make("sd15-unet", scale=0.1, dtype=torch.bfloat16)
    assert {each.dtype for each in made.parameters()} == {torch.bfloat16}


def test_the_small_autoencoder_makes_pixels_of_its_latents():
    vae = make("taesd", scale=0.2)
    assert isinstance(vae, AutoencoderTiny)
    pixels = torch.randint(0, 256, (2, 32, 48, 3), dtype=torch.uint8)
    latent = PixelEncoder(vae)(pixels)
    assert latent.shape == (2, 4, 4, 6) and latent.isfinite().all()
    assert PixelDecoder(vae)(latent).shape == pixels.shape


@pytest.mark.parametrize("scale", [0.05, 0.1, 0.25, 0.5, 1.0])
def test_the_text_encoders_of_sdxl_fit_its_unet_at_every_scale(scale):
    names = ("sdxl-turbo-text", "sdxl-turbo-text-2", "sdxl-turbo-unet")
    first, second, unet = (config_of(name, scale=scale) for name in names)
    assert first["hidden_size"] + second["hidden_size"] == unet["cross_attention_dim"]
    told = unet["projection_class_embeddings_input_dim"] - 6 * unet["addition_time_embed_dim"]
    assert told == second["projection_dim"]


def test_an_unknown_name_or_scale_is_an_error_that_says_what_there_is():
    with pytest.raises(ModelError, match="architecture 'sd3': choose sd-turbo-text, sd-turbo-unet"):
        make("sd3")
    with pytest.raises(ModelError, match="scale 2: give one above 0, up to 1"):
        make("taesd", scale=2)


def test_random_weights_are_no_model_that_draws_for_a_user():
    assert not {row.name for row in TABLE} & set(NAMES)
