import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from engines import registry
from engines.binding import torch_dtype
from engines.spec import EngineSpec, TensorSpec
from streamgen.errors import ConfigError
from streamgen.models.architectures import config_of, make
from streamgen.models.extensions import MemoryLayer, memory_layers, with_memory, with_residuals
from streamgen.models.loading import load_model
from streamgen.models.networks import denoiser_of
from streamgen.models.registry import find_model
from streamgen.models.sides import SizeRange, over, picture_sides
from streamgen.models.specs import unet_spec

SMALL = 0.05
TOKENS, WIDTH, SLOTS, FRAMES, BATCH = 4, 6, 3, 2, 2


def unet_at(name, size, *, scale=SMALL):
    config = config_of(name, scale=scale)
    latent = tuple(over(side, 8) for side in picture_sides(size, unit=64))
    return unet_spec(config, 1, latent=latent, precision="fp32"), config


def empty(spec):
    return {
        each.name: torch.zeros(each.usual_shape, dtype=torch_dtype(each)) for each in spec.inputs
    }


@pytest.mark.parametrize(("name", "skips"), [("sd15-unet", 12), ("sdxl-turbo-unet", 9)])
def test_a_unet_has_a_residual_for_every_skip_and_the_middle(name, skips):
    spec, config = unet_at(name, (96, 64))
    wider = with_residuals(spec, config)
    added = wider.inputs[len(spec.inputs) :]
    assert [each.name for each in added] == [*(f"down_{k}" for k in range(skips)), "mid"]

    names = [each.name for each in wider.inputs[3:]]
    module = denoiser_of(make(name, scale=SMALL), names)
    binding = (
        registry.backend("torch").adopt(wider, module, device="cpu").bind(inputs := empty(wider))
    )
    binding.run()
    plain = binding.outputs["answer"].clone()
    for each in ("down_0", "mid"):
        inputs[each].normal_()
        binding.run()
        assert not torch.equal(binding.outputs["answer"], plain)


def test_residuals_of_a_range_of_sizes_are_in_its_range():
    sizes = SizeRange(least=(64, 64), usual=(64, 64), most=(128, 128))
    spec, config = unet_at("sd15-unet", sizes)
    at = with_residuals(spec, config).at({"h": 2, "w": 1})
    assert at.inputs[0].shape == (1, 4, 16, 8)
    assert at.inputs[-1].shape[2:] == (2, 1)


@pytest.mark.parametrize(("name", "count"), [("sd15-unet", 16), ("sdxl-turbo-unet", 70)])
def test_every_self_attention_of_a_published_unet_is_counted(name, count):
    config = config_of(name)
    layers = memory_layers(config, (64, 64))
    module = make(name, device="meta")
    found = [part for key, part in module.named_modules() if key.endswith("attn1")]
    assert len(layers) == len(found) == count
    # torch walks the way up before the middle; the widths are the same ones.
    assert sorted(each.width for each in layers) == sorted(p.inner_dim for p in found)
    assert {each.tokens for each in layers} <= {64 * 64, 32 * 32, 16 * 16, 8 * 8}


def test_what_differs_from_level_to_level_is_told_from_a_list():
    config = load_model(find_model("tiny")).unet.config
    layers = memory_layers(config, (32, 32))
    assert [each.tokens for each in layers] == [256, 64, 64, 64, 64, 256, 256]
    assert {each.width for each in layers} == {128}


def test_outputs_are_kept_in_the_middle_and_on_the_coarse_way_up():
    layers = memory_layers(config_of("sd15-unet"), (64, 64))
    assert [(k, each.tokens) for k, each in enumerate(layers) if each.is_fused] == [
        (6, 64),
        (7, 256),
        (8, 256),
        (9, 256),
    ]
    spec, _ = unet_at("sd15-unet", (512, 512))
    names = [each.name for each in with_memory(spec, layers, slots=1, frames=1).outputs]
    assert [name for name in names if name.startswith("new_o")] == [
        "new_o_6",
        "new_o_7",
        "new_o_8",
        "new_o_9",
    ]


def test_memory_of_a_range_of_sizes_is_refused():
    sizes = SizeRange(least=(64, 64), usual=(64, 64), most=(128, 128))
    spec, config = unet_at("sd15-unet", sizes)
    with pytest.raises(ConfigError, match="memory for sizes h=1..2 x8, w=1..2 x8: give one fixed"):
        memory_layers(config, spec.inputs[0].shape[2:])


class Remembers(nn.Module):
    """One self-attention over a row's own tokens and those of the frames in its slot."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x, memory_slot, memory_mask, *further):
        _, _, memory_k, memory_v = further
        new_k, new_v = self.k(x), self.v(x)
        told = [memory[memory_slot].flatten(1, 2) for memory in (memory_k, memory_v)]
        keys, values = torch.cat([new_k, told[0]], dim=1), torch.cat([new_v, told[1]], dim=1)
        seen = memory_mask[memory_slot].repeat_interleave(TOKENS, dim=1)
        mask = torch.cat([torch.ones(len(x), TOKENS, dtype=torch.bool), seen], dim=1)
        answer = scaled_dot_product_attention(self.q(x), keys, values, attn_mask=mask[:, None])
        return answer, new_k, new_v


@pytest.fixture
def remembering():
    torch.manual_seed(0)
    shape = (BATCH, TOKENS, WIDTH)
    plain = EngineSpec(
        role="unet",
        inputs=(TensorSpec("x", shape, "float32"),),
        outputs=(TensorSpec("answer", shape, "float32"),),
        precision="fp32",
    )
    spec = with_memory(plain, [MemoryLayer(tokens=TOKENS, width=WIDTH)], slots=SLOTS, frames=FRAMES)
    inputs = empty(spec)
    inputs["x"].normal_()
    inputs["memory_slot"].copy_(torch.tensor([2, 0]))
    return spec, inputs, registry.backend("torch").adopt(spec, Remembers(), device="cpu")


def test_memory_is_named_tensors_in_and_new_slices_out(remembering):
    spec, _, _ = remembering
    assert [str(each) for each in spec.inputs[1:]] == [
        "memory_slot [2] int64",
        "memory_mask [3, 2] bool",
        "bank_strength [2] float32",
        "bank_fusion [2] float32",
        "memory_k_0 [3, 2, 4, 6] float32",
        "memory_v_0 [3, 2, 4, 6] float32",
    ]
    assert [str(each) for each in spec.outputs[1:]] == [
        "new_k_0 [2, 4, 6] float32",
        "new_v_0 [2, 4, 6] float32",
    ]


def test_a_row_sees_the_frames_of_its_own_slot_that_are_filled(remembering):
    _, inputs, compiled = remembering
    binding = compiled.bind(inputs)
    binding.run()
    plain = binding.outputs["answer"].clone()

    inputs["memory_k_0"][1:].normal_()
    inputs["memory_v_0"][1:].normal_()
    binding.run()
    assert torch.equal(binding.outputs["answer"], plain)  # all of it is masked

    inputs["memory_mask"][1:] = True
    binding.run()
    changed = (binding.outputs["answer"] - plain).abs().amax(dim=(1, 2))
    assert changed[0] > 1e-3 and changed[1] == 0  # the second row has another slot


def test_the_new_slices_are_what_a_slot_is_filled_with(remembering):
    _, inputs, compiled = remembering
    binding = compiled.bind(inputs)
    binding.run()
    for part in "kv":
        inputs[f"memory_{part}_0"][2, 0] = binding.outputs[f"new_{part}_0"][0]
    inputs["memory_mask"][2, 0] = True
    plain = binding.outputs["answer"].clone()
    binding.run()
    # A frame beside itself: the same keys twice leave every mean as it is.
    assert torch.allclose(binding.outputs["answer"][0], plain[0], atol=1e-6)
