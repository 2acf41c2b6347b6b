"""Engines and copies that follow the LoRAs while the base stays as it is."""

from __future__ import annotations

import random

import pytest
import torch

from engines.backends.torch import TorchBackend
from engines.fingerprint import Fingerprints
from engines.protocol import BackendOptions
from streamgen.errors import ConfigError, ModelError
from streamgen.lora.apply import LoraSwitch
from streamgen.lora.copies import copy_with, named_within, supplied
from streamgen.lora.delta import Scaled
from streamgen.models.extensions import memory_layers
from streamgen.models.memory_attention import MemoryDenoiser
from streamgen.models.networks import Denoiser


@pytest.fixture
def networks(build_unet, build_text):
    return {"unet": build_unet(), "text_encoder": build_text()}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_engine_after_20_random_swaps_answers_as_one_made_afresh(
    networks, loras, precision, spec_in, answer
):
    denoiser, choice, spec = Denoiser(networks["unet"]), random.Random(7), spec_in(precision)
    engine = TorchBackend(BackendOptions()).adopt(spec, denoiser, device="cpu")
    base = answer(engine)
    stack = []

    for _ in range(20):
        before, chosen = stack, choice.sample(loras, choice.randrange(1, 4))
        stack = [Scaled(lora=each, scale=choice.choice((-0.4, 0.0, 1 / 3, 1.0))) for each in chosen]
        values = supplied(networks, before, stack)
        engine.swap_weights(named_within(values, "unet", prefix="unet."))

    made = copy_with(networks["unet"], named_within(supplied(networks, [], stack), "unet"))
    afresh = TorchBackend(BackendOptions()).adopt(spec, Denoiser(made), device="cpu")
    assert torch.equal(answer(engine), answer(afresh))
    engine.swap_weights(named_within(supplied(networks, stack, []), "unet", prefix="unet."))
    assert torch.equal(answer(engine), base)


def test_a_copy_is_what_the_network_becomes_in_place(networks, loras):
    stack = [Scaled(lora=each, scale=0.4) for each in loras]
    values = supplied(networks, [], stack)

    copies = {name: copy_with(each, named_within(values, name)) for name, each in networks.items()}
    LoraSwitch(networks).apply(stack)

    for network, made in copies.items():
        wanted = networks[network].state_dict()
        assert all(torch.equal(wanted[name], each) for name, each in made.state_dict().items())


def test_a_copy_shares_all_that_no_lora_touches_and_leaves_the_base(networks, loras):
    unet = networks["unet"]
    base = {name: each.clone() for name, each in unet.state_dict().items()}
    values = named_within(supplied(networks, [], [Scaled(lora=loras[0])]), "unet")

    made = dict(copy_with(unet, values).named_parameters())

    own = dict(unet.named_parameters())
    assert {name for name in own if made[name] is not own[name]} == values.keys()
    assert all(torch.equal(base[name], each) for name, each in unet.state_dict().items())


def test_an_engine_of_a_copy_has_a_key_of_its_own_for_every_scale(networks, loras):
    fingerprints, keys = Fingerprints(), []

    for scale in (0.0, 0.5, 0.25, 0.5):
        values = supplied(networks, [], [Scaled(lora=loras[0], scale=scale)])
        made = Denoiser(copy_with(networks["unet"], named_within(values, "unet")))
        keys.append(fingerprints.weights(made))

    assert keys[0] == fingerprints.weights(Denoiser(networks["unet"]))
    assert keys[1] == keys[3]
    assert len(set(keys)) == 3


def test_the_network_with_memory_takes_the_same_values(networks, loras):
    unet = networks["unet"]
    remembering = MemoryDenoiser(unet, [], memory_layers(unet.config, (8, 8)))
    values = supplied(networks, [], [Scaled(lora=loras[1])])

    made = copy_with(remembering, named_within(values, "unet", prefix="network.unet."))

    wanted = copy_with(unet, named_within(values, "unet")).state_dict()
    found = made.network.unet.state_dict()
    assert all(torch.equal(wanted[name], each) for name, each in found.items())


def test_a_weight_of_no_name_is_refused(networks):
    with pytest.raises(ModelError, match="weight 'absent': this UNet2DConditionModel has none"):
        copy_with(networks["unet"], {"absent": torch.zeros(1)})


def test_a_lora_given_twice_is_refused(networks, loras):
    with pytest.raises(ConfigError, match="are one file"):
        supplied(networks, [], [Scaled(lora=loras[0]), Scaled(lora=loras[0], scale=0.2)])
