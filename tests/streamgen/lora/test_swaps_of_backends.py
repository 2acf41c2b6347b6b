"""Compiled networks that follow LoRAs: every swap ends as a network that is built with them."""

from __future__ import annotations

import random

import pytest
import torch

from engines import registry
from engines.cache import EngineCache
from engines.protocol import BackendOptions
from engines.store import NetworkStore
from streamgen.lora.copies import copy_with, named_within, supplied
from streamgen.lora.delta import Scaled
from streamgen.models.networks import Denoiser


@pytest.fixture(params=["torch", "openvino", "onnxruntime", "inductor"])
def store(request, tmp_path):
    backend = registry.backend(request.param, options=BackendOptions(threads=1))
    return NetworkStore(backend=backend, cache=EngineCache(tmp_path / "cache"))


@pytest.fixture
def networks(build_unet):
    return {"unet": build_unet()}


@pytest.mark.slow
def test_20_random_swaps_of_loras_end_as_a_network_made_afresh_and_the_base_comes_back(
    store, networks, loras, spec_in, answer
):
    denoiser = Denoiser(networks["unet"]).eval()
    for precision in dict.fromkeys((store.backend.precisions("cpu")[0], "fp32")):
        choice, stack = random.Random(7), []
        spec = spec_in(precision, swaps_weights=True)
        compiled = store.compile(spec, denoiser)
        base = answer(compiled, t=999.0)
        for _ in range(20):
            before, chosen = stack, choice.sample(loras, choice.randrange(1, 4))
            stack = [
                Scaled(lora=each, scale=choice.choice((-0.4, 0.0, 1 / 3, 1.0))) for each in chosen
            ]
            values = supplied(networks, before, stack)
            compiled.swap_weights(named_within(values, "unet", prefix="unet."))

        made = copy_with(networks["unet"], named_within(supplied(networks, [], stack), "unet"))
        assert torch.equal(
            answer(compiled, t=999.0), answer(store.compile(spec, Denoiser(made)), t=999.0)
        )
        values = supplied(networks, stack, [])
        compiled.swap_weights(named_within(values, "unet", prefix="unet."))
        assert torch.equal(answer(compiled, t=999.0), base)
