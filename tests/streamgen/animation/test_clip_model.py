"""Loading a model with an adapter and LoRAs for clips."""

import pytest
import torch
from safetensors.torch import save_file

from streamgen.animation.clip_model import load_clip_model
from streamgen.errors import ModelError
from streamgen.models.registry import find_model

MOTION = "down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_q"
SPATIAL = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k"


def write_lora(path, layer, *, width=8):
    generator = torch.Generator().manual_seed(5)
    base = f"unet.{layer}"
    factors = {
        f"{base}.lora_A.weight": torch.randn(2, width, generator=generator),
        f"{base}.lora_B.weight": torch.randn(width, 2, generator=generator),
    }
    save_file(factors, path)
    return factors[f"{base}.lora_B.weight"] @ factors[f"{base}.lora_A.weight"]


@pytest.mark.parametrize("layer", [MOTION, SPATIAL])
def test_loras_of_the_model_and_of_its_motion_are_put_in(
    studio, model_folder, adapter_folder, tmp_path, layer
):
    delta = write_lora(tmp_path / "one.safetensors", layer)

    loras = [(tmp_path / "one.safetensors", 0.5)]
    made = load_clip_model(find_model(str(model_folder)), adapter_folder, device="cpu", loras=loras)

    before, after = (
        each.network.unet.get_parameter(f"{layer}.weight") for each in (studio.model, made)
    )
    assert torch.allclose(after, before + 0.5 * delta, atol=1e-5)


def test_a_motion_lora_without_an_adapter_is_refused(model_folder, tmp_path):
    write_lora(tmp_path / "pan.safetensors", MOTION)

    with pytest.raises(ModelError, match="choose a motion adapter first"):
        loras = [(tmp_path / "pan.safetensors", 1.0)]
        load_clip_model(find_model(str(model_folder)), None, device="cpu", loras=loras)


def test_an_adapter_of_another_model_is_refused(adapter_folder):
    with pytest.raises(ModelError, match="motion adapter 'moving' is for another UNet"):
        load_clip_model(find_model("tiny"), adapter_folder, device="cpu")


def test_latents_that_are_no_numbers_are_refused(studio):
    with pytest.raises(ModelError, match="drew NaN or infinity"):
        studio.model.decode(torch.full((4, 8, 8), torch.nan))


def test_pictures_come_back_at_their_size(studio):
    pixels = torch.zeros(64, 48, 3, dtype=torch.uint8).numpy()

    latent = studio.model.encode(pixels)

    assert latent.shape == (4, 8, 6)
    assert studio.model.decode(latent).shape == (64, 48, 3)
