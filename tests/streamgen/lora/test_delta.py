"""Weights with LoRAs against the mathematics, and against LoRAs run beside their layers."""

from __future__ import annotations

import copy
import math
from itertools import permutations

import pytest
import torch

from streamgen.errors import ConfigError, ModelError
from streamgen.lora.apply import LoraSwitch
from streamgen.lora.delta import Scaled, changes, delta_of, merged, touched
from streamgen.lora.fit import fitted
from streamgen.lora.read import read_lora


@pytest.fixture
def lora_for(random_factors, write_lora):
    """Returns a LoRA fitted to a network, as from a file."""

    def lora(unet, *, seed=1, alpha=1.5, **further):
        factors = random_factors(unet, seed=seed, **further)
        path = write_lora({"unet": factors}, name=f"style{seed}", alpha=alpha)
        return fitted(read_lora(path), {"unet": unet})

    return lora


def test_a_weight_becomes_what_the_formula_says(build_unet, random_factors, write_lora, layers_of):
    unet = build_unet()
    factors = random_factors(unet)
    lora = fitted(read_lora(write_lora({"unet": factors}, alpha=1.5)), {"unet": unet})

    for name, layer in layers_of(unet).items():
        down, up = (part.double() for part in factors[name])
        # A kernel of the rank's channels, then one of a single pixel.
        added = torch.einsum("or,ri...->oi...", up.flatten(1), down)
        wanted = layer.weight.double() + 0.7 * (1.5 / 3) * added
        key = ("unet", f"{name}.weight")
        made = merged(layer.weight, [Scaled(lora=lora, scale=0.7)], key)
        torch.testing.assert_close(made.double(), wanted, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(
            delta_of(lora.factors[key], layer.weight.shape).double(), 0.5 * added,
            rtol=1e-6, atol=1e-6,
        )  # fmt: skip


def test_the_network_answers_as_with_the_loras_beside_its_layers(
    build_unet, random_factors, write_lora
):
    plain, changed = build_unet(), build_unet()
    switch = LoraSwitch({"unet": changed})
    stack, beside = [], []
    for seed, scale in ((1, 0.8), (2, -0.4)):
        factors = random_factors(plain, seed=seed)
        path = write_lora({"unet": factors}, name=f"style{seed}", alpha=6.0)
        stack.append(Scaled(lora=switch.fit(read_lora(path)), scale=scale))
        beside.append((factors, scale * 6 / 3))
    inputs = picture()
    before = plain(*inputs, return_dict=False)[0]

    switch.apply(stack)
    answer = changed(*inputs, return_dict=False)[0]
    wanted = with_side_branches(plain, beside)(*inputs, return_dict=False)[0]

    torch.testing.assert_close(answer, wanted, rtol=1e-4, atol=1e-4)
    assert (answer - before).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_order_of_loras_makes_no_bit_of_difference(build_unet, lora_for, dtype):
    unet = build_unet()
    loras = [lora_for(unet, seed=seed, only="mid_block") for seed in (1, 2, 3)]
    stack = [Scaled(lora=lora, scale=0.1 + k / 3) for k, lora in enumerate(loras)]
    (name, *_) = loras[0].factors
    base = unet.get_parameter(name[1]).to(dtype)

    made = [merged(base, order, name) for order in permutations(stack)]

    assert made[0].dtype is dtype
    assert all(torch.equal(made[0], each) for each in made)


def test_sums_are_made_in_fp32_and_rounded_once(build_unet, lora_for):
    unet = build_unet()
    loras = [lora_for(unet, seed=seed, only="proj_in") for seed in (1, 2, 3)]
    stack = [Scaled(lora=lora, scale=0.3) for lora in loras]
    (name, *_) = loras[0].factors
    base = unet.get_parameter(name[1]).bfloat16()

    assert torch.equal(
        merged(base, stack, name), merged(base.float(), stack, name).to(torch.bfloat16)
    )


def test_a_channels_last_weight_is_changed_alike(build_unet, lora_for):
    unet = build_unet()
    stack = [Scaled(lora=lora_for(unet, only="conv_in"))]
    (name, *_) = stack[0].lora.factors
    base = unet.get_parameter(name[1])

    other = merged(base.to(memory_format=torch.channels_last), stack, name)

    assert torch.equal(merged(base, stack, name), other)


def test_nothing_is_touched_at_scale_0(build_unet, lora_for):
    unet = build_unet()
    lora = lora_for(unet)
    (name, *_) = lora.factors
    base = unet.get_parameter(name[1])

    assert touched([Scaled(lora=lora, scale=0.0)]) == frozenset()
    assert torch.equal(merged(base, [Scaled(lora=lora, scale=0.0)], name), base)


def test_whoever_goes_back_supplies_what_both_touched(build_unet, lora_for):
    unet = build_unet()
    one = [Scaled(lora=lora_for(unet, seed=1, only="down_blocks"))]
    other = [Scaled(lora=lora_for(unet, seed=2, only="attn"))]
    both = touched(one) | touched(other)

    assert set(changes(one, other)) == set(changes(other, one)) == both
    assert touched(one) - touched(other)
    assert touched(other) - touched(one)


def test_only_what_differs_has_to_be_supplied(build_unet, lora_for):
    unet = build_unet()
    kept = Scaled(lora=lora_for(unet, seed=1, only="down_blocks"))
    moved = lora_for(unet, seed=2, only="up_blocks")
    before, after = Scaled(lora=moved, scale=0.2), Scaled(lora=moved, scale=0.3)

    assert changes([kept, before], [before, kept]) == ()
    assert set(changes([kept, before], [after, kept])) == touched([after])


def test_a_scale_that_is_no_number_is_refused(build_unet, lora_for):
    lora = lora_for(build_unet(), only="conv_in")

    for scale in (math.nan, math.inf):
        with pytest.raises(ConfigError, match="LoRA 'style1': scale"):
            Scaled(lora=lora, scale=scale)


def test_a_weight_beyond_its_type_is_refused(build_unet, lora_for):
    unet = build_unet()
    lora = lora_for(unet, only="conv_in")
    (name, *_) = lora.factors

    with pytest.raises(ModelError, match="'style1' at 1e.06: 'conv_in.weight' is beyond"):
        merged(unet.conv_in.weight.half(), [Scaled(lora=lora, scale=1e6)], name)


def picture(seed=0):
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(1, 4, 8, 8, generator=generator)
    text = torch.randn(1, 5, 12, generator=generator)
    return sample, torch.tensor([500]), text


def with_side_branches(unet, beside):
    """Run each LoRA as it was trained: two layers beside the one that it changes."""
    branched = copy.deepcopy(unet)
    for factors, strength in beside:
        for name, (down, up) in factors.items():
            layer = branched.get_submodule(name)
            layer.register_forward_hook(branch(layer, down, up, strength))
    return branched


def branch(layer, down, up, strength):
    def added(_, inputs, output):
        (x,) = inputs[:1]
        if down.ndim == 2:
            return output + strength * (x @ down.T @ up.T)
        inside = torch.nn.functional.conv2d(x, down, stride=layer.stride, padding=layer.padding)
        return output + strength * torch.nn.functional.conv2d(inside, up)

    return added
