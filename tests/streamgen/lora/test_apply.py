"""Networks whose LoRAs change: any way to a state ends as a fresh load does, bit for bit."""

from __future__ import annotations

import copy
import random

import pytest
import torch

from engines.backends.torch import TorchBackend
from engines.fingerprint import Fingerprints
from engines.protocol import BackendOptions
from engines.spec import EngineSpec, TensorSpec
from streamgen.errors import ConfigError, ModelError
from streamgen.lora.apply import LoraSwitch
from streamgen.lora.delta import Scaled
from streamgen.lora.read import read_lora
from streamgen.models.extensions import memory_layers
from streamgen.models.loading import load_model
from streamgen.models.memory_attention import MemoryDenoiser
from streamgen.models.networks import Denoiser
from streamgen.models.registry import find_model


@pytest.fixture
def networks(build_unet, build_text):
    return {"unet": build_unet(), "text_encoder": build_text()}


@pytest.fixture
def library(networks, random_factors, write_lora):
    """Three LoRAs that touch different weights, some the same, and both networks."""
    only = {1: "attn", 2: "", 3: "conv"}
    return [
        read_lora(
            write_lora(
                {
                    network: random_factors(module, seed=seed, only=word)
                    for network, module in networks.items()
                },
                name=f"style{seed}",
                alpha=1.0 + seed,
            )
        )
        for seed, word in only.items()
    ]


def state(networks):
    return {
        (network, name): value.clone()
        for network, module in networks.items()
        for name, value in module.state_dict().items()
    }


def alike(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def random_stack(choice, loras):
    chosen = choice.sample(loras, choice.randrange(len(loras) + 1))
    scales = (-0.5, 0.0, 0.25, 1 / 3, 1.0, 1.7)
    return [Scaled(lora=lora, scale=choice.choice(scales)) for lora in chosen]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seed", range(3))
def test_20_random_swaps_end_as_a_fresh_load(networks, library, seed, dtype):
    networks = {network: module.to(dtype) for network, module in networks.items()}
    fresh = {network: copy.deepcopy(module) for network, module in networks.items()}
    switch, choice = LoraSwitch(networks), random.Random(seed)
    loras = [switch.fit(lora) for lora in library]

    for _ in range(20):
        stack = random_stack(choice, loras)
        switch.apply(stack)

    again = LoraSwitch(fresh)
    again.apply([Scaled(lora=again.fit(named(library, each)), scale=each.scale) for each in stack])
    assert alike(state(networks), state(fresh))


def named(library, scaled):
    return next(lora for lora in library if lora.digest == scaled.lora.digest)


def test_taken_out_the_base_is_back_and_no_copy_is_kept(networks, library):
    base = state(networks)
    switch = LoraSwitch(networks)
    loras = [switch.fit(lora) for lora in library]

    switch.apply([Scaled(lora=lora, scale=0.9) for lora in loras])
    assert not alike(state(networks), base)
    switch.apply([])

    assert alike(state(networks), base)
    assert switch.stack == ()
    assert not switch._bases


def test_there_and_back_restores_every_weight_that_only_the_other_touched(networks, library):
    switch = LoraSwitch(networks)
    one, other, _ = (Scaled(lora=switch.fit(lora)) for lora in library)
    switch.apply([one])
    wanted = state(networks)

    switch.apply([other])
    names = switch.apply([one])

    assert alike(state(networks), wanted)
    assert set(names) == one.lora.factors.keys() | other.lora.factors.keys()


def test_the_same_stack_again_changes_nothing(networks, library):
    switch = LoraSwitch(networks)
    stack = [Scaled(lora=switch.fit(lora), scale=0.5) for lora in library]
    switch.apply(stack)

    assert switch.apply(stack[::-1]) == ()


def test_a_refused_stack_changes_nothing(networks, library):
    networks = {network: module.half() for network, module in networks.items()}
    switch = LoraSwitch(networks)
    loras = [switch.fit(lora) for lora in library]
    switch.apply([Scaled(lora=loras[0], scale=0.5)])
    before, stack = state(networks), switch.stack

    with pytest.raises(ModelError, match="is beyond torch.float16"):
        switch.apply([Scaled(lora=loras[1], scale=1e7)])
    with pytest.raises(ConfigError, match="'style1', 'style1' are one file: give it once"):
        switch.apply([Scaled(lora=loras[0]), Scaled(lora=loras[0])])

    assert alike(state(networks), before)
    assert switch.stack == stack


def test_a_lora_of_another_model_changes_nothing(
    networks, library, build_unet, random_factors, write_lora
):
    switch = LoraSwitch(networks)
    switch.apply([Scaled(lora=switch.fit(library[0]))])
    before = state(networks)
    factors = random_factors(build_unet(widths=(16, 32)))

    with pytest.raises(ModelError, match="LoRA 'wide' is for another model"):
        switch.fit(read_lora(write_lora({"unet": factors}, name="wide")))

    assert alike(state(networks), before)


def test_the_text_encoder_reads_otherwise_and_then_as_before(networks, library):
    encoder, tokens = networks["text_encoder"], torch.arange(8)[None]
    switch = LoraSwitch(networks)
    before = encoder(tokens).last_hidden_state

    switch.apply([Scaled(lora=switch.fit(library[0]))])
    during = encoder(tokens).last_hidden_state
    switch.apply([])

    assert (during - before).abs().max() > 0.01
    assert torch.equal(encoder(tokens).last_hidden_state, before)


def test_the_network_with_memory_changes_with_the_plain_one(build_unet, random_factors, write_lora):
    unet = build_unet()
    remembering = MemoryDenoiser(unet, [], memory_layers(unet.config, (8, 8)))
    switch = LoraSwitch({"unet": unet})

    switch.apply([Scaled(lora=switch.fit(read_lora(write_lora({"unet": random_factors(unet)}))))])

    assert alike(state({"unet": remembering.network.unet}), state({"unet": unet}))


def test_the_key_of_an_engine_changes_and_comes_back(networks, library):
    denoiser, fingerprints = Denoiser(networks["unet"]), Fingerprints()
    switch = LoraSwitch(networks)
    before = fingerprints.weights(denoiser)

    switch.apply([Scaled(lora=switch.fit(library[1]))])
    during = fingerprints.weights(denoiser)
    switch.apply([])

    assert during != before
    assert fingerprints.weights(denoiser) == before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_engine_that_was_swapped_answers_as_one_made_afresh(networks, library, precision):
    denoiser = Denoiser(networks["unet"])
    spec = EngineSpec(
        role="unet",
        inputs=(
            TensorSpec(name="x", shape=(1, 4, 8, 8), dtype="float32"),
            TensorSpec(name="t", shape=(1,), dtype="float32"),
            TensorSpec(name="text", shape=(1, 5, 12), dtype="float32"),
        ),
        outputs=(TensorSpec(name="answer", shape=(1, 4, 8, 8), dtype="float32"),),
        precision=precision,
    )
    switch = LoraSwitch(networks)
    one, other, _ = (Scaled(lora=switch.fit(lora), scale=0.8) for lora in library)
    engine = TorchBackend(BackendOptions()).adopt(spec, denoiser, device="cpu")

    for stack in ([one], [other], [other, one], [one]):
        names = switch.apply(stack)
        values = switch.values(names, "unet")
        engine.swap_weights({f"unet.{name}": value for name, value in values.items()})

    afresh = TorchBackend(BackendOptions()).adopt(spec, denoiser, device="cpu")
    assert torch.equal(answer(engine), answer(afresh))


def answer(engine):
    generator = torch.Generator().manual_seed(5)
    inputs = {
        "x": torch.randn(1, 4, 8, 8, generator=generator),
        "t": torch.tensor([400.0]),
        "text": torch.randn(1, 5, 12, generator=generator),
    }
    binding = engine.bind(inputs)
    binding.run()
    return binding.outputs["answer"]


def test_the_built_in_model_swaps_and_comes_back(random_factors, write_lora):
    model = load_model(find_model("tiny"))
    networks = {"unet": model.unet, "text_encoder": model.text_encoder}
    base = state(networks)
    parts = {network: random_factors(module, rank=2) for network, module in networks.items()}
    switch = LoraSwitch(networks)
    before = model.text("watercolor")

    lora = switch.fit(read_lora(write_lora(parts)))
    switch.apply([Scaled(lora=lora, scale=0.3)])

    assert not torch.equal(model.text("watercolor"), before)
    changed = {
        name for name, value in state(networks).items() if not torch.equal(value, base[name])
    }
    assert changed == lora.factors.keys()
    switch.apply([])
    assert alike(state(networks), base)
    assert torch.equal(model.text("watercolor"), before)
