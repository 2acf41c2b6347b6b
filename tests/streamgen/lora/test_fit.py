"""A LoRA fits the networks of a model wholly, or is refused by name."""

from __future__ import annotations

import pytest
import torch

from streamgen.errors import ModelError
from streamgen.lora.fit import fitted
from streamgen.lora.read import read_lora
from streamgen.models.architectures import make
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model


def test_every_layer_of_the_built_in_model_can_have_one(random_factors, write_lora, keys):
    model = load_model(find_model("tiny"))
    networks = {"unet": model.unet, "text_encoder": model.text_encoder}
    parts = {network: random_factors(module, rank=1) for network, module in networks.items()}

    found = fitted(read_lora(write_lora(parts, keys=keys)), networks)

    wanted = {(network, f"{layer}.weight") for network in parts for layer in parts[network]}
    assert found.factors.keys() == wanted


@pytest.mark.parametrize("second", [False, True])
def test_text_encoders_are_told_apart(build_unet, build_text, random_factors, write_lora, second):
    networks = {
        "unet": build_unet(),
        "text_encoder": build_text(),
        "text_encoder_2": build_text(projects=True),
    }
    of = "text_encoder_2" if second else "text_encoder"
    lora = read_lora(write_lora({of: random_factors(networks[of])}))

    assert {network for network, _ in fitted(lora, networks).factors} == {of}


def test_a_linear_layer_takes_what_was_made_for_a_1x1_convolution(
    build_unet, random_factors, write_lora
):
    convolutions, linear = build_unet(), build_unet(use_linear_projection=True)
    lora = read_lora(write_lora({"unet": random_factors(convolutions, only="proj_in")}))

    found = fitted(lora, {"unet": linear})

    assert all(each.down.ndim == each.up.ndim == 2 for each in found.factors.values())
    assert found.factors.keys() == fitted(lora, {"unet": convolutions}).factors.keys()


def test_another_width_is_refused_with_both_shapes(build_unet, random_factors, write_lora):
    lora = read_lora(write_lora({"unet": random_factors(build_unet(cross=20), only="attn2.to_k")}))

    with pytest.raises(ModelError, match=r"LoRA 'style' is for another model.*\[16, 20\].*12\]"):
        fitted(lora, {"unet": build_unet()})


def test_another_kernel_is_refused(build_unet, random_factors, write_lora):
    factors = random_factors(build_unet(), only="conv_in")
    factors = {name: (down[..., :1, :1], up) for name, (down, up) in factors.items()}

    with pytest.raises(ModelError, match="is for another model"):
        fitted(read_lora(write_lora({"unet": factors})), {"unet": build_unet()})


@pytest.mark.parametrize(
    ("made_for", "given_to"),
    [("sdxl-turbo-unet", "sd15-unet"), ("sd15-unet", "sdxl-turbo-unet"),
     ("sd-turbo-unet", "sd15-unet")],
)  # fmt: skip
def test_one_of_another_published_architecture_is_refused(
    made_for, given_to, random_factors, write_lora
):
    theirs, ours = make(made_for, device="meta"), make(given_to, device="meta")
    lora = read_lora(write_lora({"unet": random_factors(theirs, only="attn2.to_k", rank=1)}))

    assert len(fitted(lora, {"unet": theirs}).factors) > 10
    with pytest.raises(ModelError, match="LoRA 'style' is for another model"):
        fitted(lora, {"unet": ours})


def test_a_network_that_the_model_lacks_is_named(
    build_unet, build_text, random_factors, write_lora
):
    factors = random_factors(build_text(projects=True))
    lora = read_lora(write_lora({"text_encoder_2": factors}))

    with pytest.raises(ModelError, match="of a second text encoder, and this has none"):
        fitted(lora, {"unet": build_unet(), "text_encoder": build_text()})


def test_a_layer_under_two_names_is_refused(build_unet, random_factors, write_lora):
    unet = build_unet()
    (name, factors), *_ = random_factors(unet, only="mid_block").items()
    twice = {"unet": {name: factors, name.replace(".", "_"): factors}}

    def keys(network, layer):
        return f"unet.{layer}.lora_A.weight", f"unet.{layer}.lora_B.weight", ""

    with pytest.raises(ModelError, match="under two names"):
        fitted(read_lora(write_lora(twice, keys=keys)), {"unet": unet})


def test_fitting_changes_no_weight(build_unet, random_factors, write_lora):
    unet = build_unet()
    before = {name: value.clone() for name, value in unet.state_dict().items()}

    fitted(read_lora(write_lora({"unet": random_factors(unet)})), {"unet": unet})

    assert all(torch.equal(before[name], value) for name, value in unet.state_dict().items())
