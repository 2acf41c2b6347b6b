"""Layouts against diffusers' own classes, at the published sizes without weights."""

import pytest
import torch
from diffusers import MotionAdapter, UNet2DConditionModel, UNetMotionModel

from streamgen.errors import ModelError
from streamgen.models.architectures import config_of, make
from streamgen.motion.layouts import layout_of, places_in

OLD = {
    "motion_activation_fn": "geglu",
    "motion_attention_bias": False,
    "motion_cross_attention_dim": None,
}
#: What the configs of published folders say, by what they are called; the rest is as usual.
PUBLISHED = {
    "v1-4": {**OLD, "motion_max_seq_length": 24, "use_motion_mid_block": False},
    "v1-5-2": {**OLD, "motion_max_seq_length": 32, "use_motion_mid_block": True},
    "v1-5-3": {"motion_max_seq_length": 32, "use_motion_mid_block": False},
    "AnimateLCM": {"conv_in_channels": None, "use_motion_mid_block": True},
}


def published(name):
    shared = {"block_out_channels": [320, 640, 1280, 1280], "motion_layers_per_block": 2}
    return {"_class_name": "MotionAdapter", **shared, **PUBLISHED[name]}


def unet_config(**changed):
    return {**config_of("sd15-unet"), **changed}


@pytest.mark.parametrize("name", PUBLISHED)
def test_modules_are_those_of_diffusers_for_published_adapters(name):
    config = published(name)
    with torch.device("meta"):
        theirs = MotionAdapter.from_config({k: v for k, v in config.items() if k not in OLD})
    expected = {
        name: part.in_channels
        for name, part in theirs.named_modules()
        if name.rpartition(".")[0].endswith("motion_modules")
    }

    layout = layout_of(config)

    assert {place.name: place.channels for place in layout.places} == expected
    assert layout.length == config.get("motion_max_seq_length", 32)


@pytest.mark.parametrize("unet", ["sd15-unet", "sd15-lcm-unet"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_adapters_fit_unets_of_sd_1_5(name, unet):
    network = make(unet, device="meta")

    places = places_in(layout_of(published(name)), network.config)

    names = {name for name, _ in network.named_modules()}
    assert len(places) == (21 if PUBLISHED[name]["use_motion_mid_block"] else 20)
    assert {place.layer for place in places} <= names


def test_modules_stand_where_diffusers_runs_them():
    places = {
        place.name: place.layer
        for place in places_in(layout_of(published("v1-5-2")), unet_config())
    }

    assert places["down_blocks.0.motion_modules.1"] == "down_blocks.0.attentions.1"
    assert places["down_blocks.3.motion_modules.0"] == "down_blocks.3.resnets.0"
    assert places["mid_block.motion_modules.0"] == "mid_block.attentions.0"
    assert places["up_blocks.0.motion_modules.2"] == "up_blocks.0.resnets.2"
    assert places["up_blocks.3.motion_modules.2"] == "up_blocks.3.attentions.2"
    assert list(places)[8] == "mid_block.motion_modules.0"


def test_layouts_of_few_and_uneven_levels_are_those_of_diffusers():
    config = {
        "block_out_channels": [8, 16],
        "motion_layers_per_block": [1, 3],
        "motion_num_attention_heads": [2, 4],
        "motion_transformer_layers_per_block": [1, 2],
        "motion_mid_block_layers_per_block": 1,
        "motion_transformer_layers_per_mid_block": [3],
        "motion_norm_num_groups": 4,
    }
    theirs = MotionAdapter.from_config(config)

    places = layout_of(config).places

    assert {place.name: (place.heads, place.depth) for place in places} == {
        place.name: (
            theirs.get_submodule(place.name).num_attention_heads,
            len(theirs.get_submodule(place.name).transformer_blocks),
        )
        for place in places
    }
    assert [place.level for place in places] == [0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]


def test_diffusers_refuses_what_does_not_fit_as_we_do():
    other = {"block_out_channels": [8, 16], "motion_norm_num_groups": 4}
    with torch.device("meta"):
        unet = UNet2DConditionModel(**{k: v for k, v in unet_config().items() if k[0] != "_"})
        theirs = MotionAdapter.from_config(other)
        with pytest.raises(ValueError):
            UNetMotionModel.from_unet2d(unet, theirs)

    with pytest.raises(ModelError, match=r"it has widths \[8, 16\], this UNet has \[320, 640"):
        places_in(layout_of(other), unet.config)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layers_per_block": 1}, r"it has \[2, 2, 2, 2\] layers in its blocks"),
        ({"layers_per_block": 3}, r"this UNet has \[3, 3, 3, 3\]"),
        ({"mid_block_type": None}, "this UNet's middle None has room for 0"),
        (
            {"up_block_types": ["AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"]},
            "up_blocks.0 is a AttnUpBlock2D: supported are CrossAttnDownBlock2D",
        ),
    ],
)
def test_an_adapter_for_another_unet_is_refused_with_what_differs(changed, message):
    with pytest.raises(ModelError, match=message):
        places_in(layout_of(published("v1-5-2")), unet_config(**changed))


def test_a_unet_without_a_middle_takes_an_adapter_without_one():
    places = places_in(layout_of(published("v1-5-3")), unet_config(mid_block_type=None))

    assert len(places) == 20


def test_an_adapter_without_layers_on_the_way_down_stands_behind_the_first_on_the_way_up():
    config = {**published("v1-5-2"), "motion_layers_per_block": [0, 0, 0, 0]}
    with torch.device("meta"):
        theirs = MotionAdapter.from_config({k: v for k, v in config.items() if k not in OLD})

    places = places_in(layout_of(config), unet_config())

    names = {name.partition(".norm.")[0] for name in theirs.state_dict() if ".norm." in name}
    assert {place.name for place in places} == names
    assert [place.layer for place in places] == [
        "mid_block.attentions.0",
        "up_blocks.0.resnets.0",
        *(f"up_blocks.{block}.attentions.0" for block in (1, 2, 3)),
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"motion_layers_per_block": -1}, "motion_layers_per_block -1: give a whole number from 0"),
        ({"conv_in_channels": 9}, r"it takes 9 channels instead of the UNet's own \(PIA\)"),
        ({"motion_activation_fn": "gelu"}, "motion_activation_fn 'gelu': supported is 'geglu'"),
        ({"motion_attention_bias": True}, "motion_attention_bias True: supported is False"),
        ({"motion_max_seq_length": 0}, "motion_max_seq_length 0: give a whole number from 1 on"),
        ({"motion_layers_per_block": [2, 2]}, r"\[2, 2\]: give 4 numbers, or one"),
        ({"motion_num_attention_heads": True}, "motion_num_attention_heads True"),
        ({"block_out_channels": []}, r"block_out_channels \[\]: give a list of numbers"),
        ({"block_out_channels": 320}, "block_out_channels 320: give a list"),
        ({"block_out_channels": [320, "x", 1, 1]}, "block_out_channels 'x'"),
        ({"motion_num_attention_heads": 7}, "width 320: it is no multiple of 7 heads"),
        ({"motion_transformer_layers_per_block": [[1, 1]] * 4}, r"\[1, 1\]: give a whole number"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_with_its_value(changed, message):
    with pytest.raises(ModelError, match=message):
        layout_of({**published("v1-5-2"), **changed})
