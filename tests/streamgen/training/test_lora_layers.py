"""Side branches of a small UNet, against the same LoRA in its weights."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from streamgen.lora.apply import LoraSwitch
from streamgen.lora.delta import Scaled
from streamgen.lora.read import read_lora
from streamgen.training.lora_layers import Branches


@pytest.fixture
def unet():
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return UNet2DConditionModel(
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            attention_head_dim=2,
            norm_num_groups=4,
            cross_attention_dim=12,
        ).requires_grad_(False)


def answer(unet):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    text = torch.randn(2, 5, 12, generator=generator)
    return unet(x, torch.tensor([400.0, 20.0]), text).sample


def trained(unet, *, rank=3, seed=1):
    """Branches that do something, in numbers that a file in fp16 holds exactly."""
    branches = Branches(unet, rank=rank, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in branches.parameters():
            made = torch.randn(parameter.shape, generator=generator) * 0.2
            parameter.copy_(made.half())
    return branches


def test_a_new_branch_changes_nothing(unet):
    before = answer(unet)

    with Branches(unet, rank=4, seed=0).attached():
        assert torch.equal(answer(unet), before)


def test_branches_answer_as_the_file_does_in_the_weights(unet, tmp_path):
    branches = trained(unet)
    with branches.attached():
        wanted = answer(unet)
    save_file(branches.tensors("unet"), tmp_path / "style.safetensors")
    base = answer(unet)

    switch = LoraSwitch({"unet": unet})
    switch.apply([Scaled(lora=switch.fit(read_lora(tmp_path / "style.safetensors")))])

    assert (wanted - base).abs().max() > 0.1
    torch.testing.assert_close(answer(unet), wanted, atol=1e-5, rtol=1e-4)


def test_taken_off_the_network_answers_as_before(unet):
    before = answer(unet)
    with trained(unet).attached():
        assert not torch.equal(answer(unet), before)

    assert torch.equal(answer(unet), before)


def test_every_branch_learns_and_the_network_does_not(unet):
    branches = trained(unet)

    with branches.attached():
        answer(unet).square().mean().backward()

    assert all(parameter.grad is not None for parameter in branches.parameters())
    assert all(parameter.grad is None for parameter in unet.parameters())


def test_a_seed_gives_the_same_start_and_leaves_torch_s_own_generator(unet):
    before = torch.get_rng_state()
    first, again, other = (Branches(unet, rank=2, seed=seed).state_dict() for seed in (3, 3, 4))

    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
