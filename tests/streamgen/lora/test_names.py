"""Keys of every naming, and what they are told from."""

from __future__ import annotations

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)

from streamgen.errors import ModelError
from streamgen.lora.names import KeyName, flat, parse, spellings
from streamgen.lora.original import original_names
from streamgen.models.architectures import make
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model

ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
FLAT = "down_blocks_0_attentions_0_transformer_blocks_0_attn1"
CLIP = "text_model.encoder.layers.0.self_attn"
CLIP_FLAT = "text_model_encoder_layers_0_self_attn"


@pytest.mark.parametrize(
    ("key", "network", "spelling", "part"),
    [
        (f"unet.{ATTENTION}.to_q.lora_A.weight", "unet", f"{FLAT}_to_q", "down"),
        (f"unet.{ATTENTION}.to_q.lora_B.weight", "unet", f"{FLAT}_to_q", "up"),
        (f"unet.{ATTENTION}.to_q.lora_B.default.weight", "unet", f"{FLAT}_to_q", "up"),
        (f"unet.{ATTENTION}.to_out.0.lora.down.weight", "unet", f"{FLAT}_to_out_0", "down"),
        (f"unet.{ATTENTION}.to_q.alpha", "unet", f"{FLAT}_to_q", "alpha"),
        (f"unet.{ATTENTION}.processor.to_q_lora.down.weight", "unet", f"{FLAT}_to_q", "down"),
        (f"{ATTENTION}.processor.to_out_lora.up.weight", "unet", f"{FLAT}_to_out_0", "up"),
        (f"lora_unet_{FLAT}_to_out_0.lora_up.weight", "unet", f"{FLAT}_to_out_0", "up"),
        (f"lora_unet_{FLAT}_to_out_0.alpha", "unet", f"{FLAT}_to_out_0", "alpha"),
        ("lora_unet_mid_block_resnets_0_conv1.lora_down.weight", "unet",
         "mid_block_resnets_0_conv1", "down"),
        (f"lora_te_{CLIP_FLAT}_q_proj.lora_down.weight", "text_encoder", f"{CLIP_FLAT}_q_proj",
         "down"),
        (f"lora_te1_{CLIP_FLAT}_q_proj.alpha", "text_encoder", f"{CLIP_FLAT}_q_proj", "alpha"),
        (f"lora_te2_{CLIP_FLAT}_q_proj.lora_up.weight", "text_encoder_2", f"{CLIP_FLAT}_q_proj",
         "up"),
        (f"text_encoder.{CLIP}.q_proj.lora_linear_layer.up.weight", "text_encoder",
         f"{CLIP_FLAT}_q_proj", "up"),
        (f"text_encoder.{CLIP}.to_out_lora.up.weight", "text_encoder", f"{CLIP_FLAT}_out_proj",
         "up"),
        (f"text_encoder_2.{CLIP}.q_proj.lora_A.weight", "text_encoder_2", f"{CLIP_FLAT}_q_proj",
         "down"),
        ("diffusion_model.input_blocks.1.1.proj_in.lora_down.weight", "unet",
         "input_blocks_1_1_proj_in", "down"),
    ],
)  # fmt: skip
def test_a_key_names_network_layer_and_part(key, network, spelling, part):
    found = parse(key)

    assert (found.network, found.spelling, found.part) == (network, spelling, part)


def test_a_name_keeps_the_dots_that_the_file_has():
    found = parse(f"unet.{ATTENTION}.to_q.lora_A.weight")

    assert found == KeyName(network="unet", layer=f"{ATTENTION}.to_q", part="down")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (f"lora_unet_{FLAT}_to_q.hada_w1_a", "a LoHa"),
        (f"lora_unet_{FLAT}_to_q.lokr_w1", "a LoKr"),
        (f"lora_unet_{FLAT}_to_q.dora_scale", "a DoRA"),
        (f"unet.{ATTENTION}.to_q.lora_magnitude_vector.weight", "a DoRA"),
        (f"lora_unet_{FLAT}_to_q.oft_blocks", "an OFT"),
        (f"lora_unet_{FLAT}_conv.lora_mid.weight", "Tucker"),
        (f"lora_unet_{FLAT}_to_q.diff", "full differences"),
        (f"unet.{ATTENTION}.to_q.lora_B.bias", "biases"),
        ("bundle_emb.word.string_to_param.*", "embeddings"),
    ],
)
def test_another_kind_of_adapter_is_refused_by_its_name(key, kind):
    with pytest.raises(ModelError, match=f"{kind}.*supported are plain LoRAs"):
        parse(key)


@pytest.mark.parametrize(
    "key",
    [
        "model.diffusion_model.input_blocks.0.0.weight",
        "transformer.single_blocks.0.lora_A.weight",
        f"unet.{ATTENTION}.to_q.weight",
        "lora_unet_",
        "",
    ],
)
def test_an_unknown_key_is_refused_by_its_name(key):
    with pytest.raises(ModelError, match="is unknown"):
        parse(key)


def test_every_layer_of_the_built_in_model_has_a_spelling_of_its_own(layers_of):
    model = load_model(find_model("tiny"))
    unet, text = layers_of(model.unet), layers_of(model.text_encoder)

    assert {flat(name) for name in unet} <= spellings("unet", unet).keys()
    assert len({flat(name) for name in unet}) == len(unet)
    assert set(spellings("text_encoder", text).values()) == set(text)


def test_layers_of_a_text_encoder_are_found_with_and_without_text_model(build_text, layers_of):
    with_it, without = layers_of(build_text(projects=True)), layers_of(build_text())
    wanted = f"{CLIP_FLAT}_q_proj"

    assert spellings("text_encoder_2", with_it)[wanted] == f"{CLIP}.q_proj"
    assert spellings("text_encoder", without)[wanted] == f"{CLIP}.q_proj".removeprefix(
        "text_model."
    )


@pytest.mark.parametrize(
    ("architecture", "is_original"),
    [("sdxl-turbo-unet", True), ("sdxl-turbo-unet", False), ("sd15-unet", False)],
)
def test_kohya_names_mean_what_they_mean_to_diffusers(architecture, is_original, layers_of):
    unet = make(architecture, device="meta")
    # Of these, diffusers takes the numbers away.
    layers = [name for name in layers_of(unet) if "embedding" not in name]
    spelt = original_names(layers) if is_original else {name: name for name in layers}
    state = {
        f"lora_unet_{flat(name)}.lora_{part}.weight": torch.tensor(float(number))
        for number, name in enumerate(spelt.values())
        for part in ("down", "up")
    }

    mapped = _maybe_map_sgm_blocks_to_diffusers(dict(state), unet.config)
    theirs, _ = _convert_non_diffusers_lora_to_diffusers(mapped)

    ours = spellings("unet", layers)
    assert [ours[flat(name)] for name in spelt.values()] == list(spelt)
    found = {ours[parse(key).spelling]: int(value) for key, value in theirs.items()}
    assert found == {name: number for number, name in enumerate(spelt)}


def test_blocks_without_attention_keep_their_numbers(build_unet, layers_of):
    names = original_names(list(layers_of(build_unet())))

    assert names["down_blocks.0.resnets.0.conv1"] == "input_blocks.1.0.in_layers.2"
    assert names["down_blocks.0.downsamplers.0.conv"] == "input_blocks.2.0.op"
    assert names["down_blocks.1.attentions.0.proj_in"] == "input_blocks.3.1.proj_in"
    assert names["mid_block.attentions.0.proj_in"] == "middle_block.1.proj_in"
    assert names["up_blocks.0.upsamplers.0.conv"] == "output_blocks.1.2.conv"
    assert names["up_blocks.1.resnets.0.conv_shortcut"] == "output_blocks.2.0.skip_connection"
    assert names["conv_out"] == "out.2"


def test_original_names_are_each_of_one_layer(layers_of):
    unet = make("sdxl-turbo-unet", device="meta")
    names = original_names(list(layers_of(unet)))

    assert len(set(names.values())) == len(names) == len(layers_of(unet))
