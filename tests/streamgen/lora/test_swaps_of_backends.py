"""Compiled networks that follow LoRAs: every swap ends as a network that is built with them."""

from __future__ import annotations

import random

import pytest
import torch

from engines import registry
from engines.cache import EngineCache
from engines.protocol import BackendOptions
from engines.spec import EngineSpec, TensorSpec
from engines.store import NetworkStore
from streamgen.lora.copies import copy_with, named_within, supplied
from streamgen.lora.delta import Scaled
from streamgen.lora.fit import fitted
from streamgen.lora.read import read_lora
from streamgen.models.networks import Denoiser


@pytest.fixture(params=["torch", "openvino", "onnxruntime", "inductor"])
def store(request, tmp_path):
    backend = registry.backend(request.param, options=BackendOptions(threads=1))
    return NetworkStore(backend=backend, cache=EngineCache(tmp_path / "cache"))


@pytest.fixture
def networks(build_unet):
    return {"unet": build_unet()}


@pytest.fixture
def loras(networks, random_factors, write_lora):
    """Three that touch different weights, some the same; the second touches all layers."""
    found = []
    for seed, word in {1: "attn", 2: "", 3: "conv"}.items():
        parts = {"unet": random_factors(networks["unet"], seed=seed, only=word)}
        found.append(fitted(read_lora(write_lora(parts, name=f"style{seed}")), networks))
    return found


def spec_in(precision):
    def tensor(name, *shape):
        return TensorSpec(name=name, shape=shape, dtype="float32")

    return EngineSpec(
        role="unet",
        inputs=(tensor("x", 1, 4, 8, 8), tensor("t", 1), tensor("text", 1, 5, 12)),
        outputs=(tensor("answer", 1, 4, 8, 8),),
        precision=precision,
        swaps_weights=True,
    )


def answer(compiled):
    generator = torch.Generator().manual_seed(5)
    inputs = {
        "x": torch.randn(1, 4, 8, 8, generator=generator),
        "t": torch.tensor([999.0]),
        "text": torch.randn(1, 5, 12, generator=generator),
    }
    binding = compiled.bind(inputs)
    binding.run()
    return binding.outputs["answer"].clone()


@pytest.mark.slow
def test_20_random_swaps_of_loras_end_as_a_network_made_afresh_and_the_base_comes_back(
    store, networks, loras
):
    denoiser = Denoiser(networks["unet"]).eval()
    for precision in dict.fromkeys((store.backend.precisions("cpu")[0], "fp32")):
        choice, spec, stack = random.Random(7), spec_in(precision), []
        compiled = store.compile(spec, denoiser)
        base = answer(compiled)
        for _ in range(20):
            before, chosen = stack, choice.sample(loras, choice.randrange(1, 4))
            stack = [
                Scaled(lora=each, scale=choice.choice((-0.4, 0.0, 1 / 3, 1.0))) for each in chosen
            ]
            values = supplied(networks, before, stack)
            compiled.swap_weights(named_within(values, "unet", prefix="unet."))

        made = copy_with(networks["unet"], named_within(supplied(networks, [], stack), "unet"))
        assert torch.equal(answer(compiled), answer(store.compile(spec, Denoiser(made))))
        values = supplied(networks, stack, [])
        compiled.swap_weights(named_within(values, "unet", prefix="unet."))
        assert torch.equal(answer(compiled), base)
