"""Motion LoRAs and domain adapters, in the namings of their files."""

import pytest
import torch
from diffusers import MotionAdapter, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn

from streamgen.errors import ModelError
from streamgen.lora.apply import LoraSwitch
from streamgen.lora.delta import Scaled
from streamgen.lora.read import read_lora
from streamgen.motion.adapter import read_adapter
from streamgen.motion.loras import changes_motion, fitted_with_motion
from streamgen.motion.unet import MotionUnet

MOTION = "motion_modules.0.transformer_blocks.0"
SPATIAL = "down_blocks.0.attentions.0.transformer_blocks.0"


@pytest.fixture
def unet():
    torch.manual_seed(0)
    made = UNet2DConditionModel(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=4,
        cross_attention_dim=12,
    )
    return made.eval().requires_grad_(False)


@pytest.fixture
def build(unet, tmp_path):
    """Returns what makes a UNet with motion modules, in the middle or not."""

    def build(*, has_middle=True):
        adapter = MotionAdapter(
            block_out_channels=(8, 16),
            motion_layers_per_block=1,
            motion_num_attention_heads=2,
            motion_norm_num_groups=4,
            use_motion_mid_block=has_middle,
        )
        adapter.save_pretrained(tmp_path / "adapter")
        return MotionUnet(unet, read_adapter(tmp_path / "adapter"))

    return build


def as_diffusers(layer):
    before, last = layer.removesuffix(".0").rsplit(".", 1)
    base = f"unet.{before}.processor.{last}_lora"
    return f"{base}.down.weight", f"{base}.up.weight"


def as_published(layer):
    """As AnimateDiff's own files have it: nothing says that it is a UNet's."""
    down, up = as_diffusers(layer)
    return published(down.removeprefix("unet.")), published(up.removeprefix("unet."))


def published(key):
    inside = key.replace("motion_modules.0", "motion_modules.0.temporal_transformer")
    if inside == key:
        return key
    return inside.replace("attn1", "attention_blocks.0").replace("attn2", "attention_blocks.1")


def as_kohya(layer):
    base = "lora_unet_" + published(layer).replace(".", "_")
    return f"{base}.lora_down.weight", f"{base}.lora_up.weight"


def as_peft(layer):
    return f"unet.{layer}.lora_A.weight", f"unet.{layer}.lora_B.weight"


@pytest.fixture
def write(tmp_path):
    """Writes a LoRA for layers by name, of these widths; returns it as read, and its factors."""

    def write(layers, keys=as_diffusers):
        factors, generator = {}, torch.Generator().manual_seed(5)
        for layer, (outputs, inputs) in layers.items():
            down, up = keys(layer)
            factors[down] = torch.randn(2, inputs, generator=generator)
            factors[up] = torch.randn(outputs, 2, generator=generator)
        save_file(factors, tmp_path / "zoom-in.safetensors")
        return read_lora(tmp_path / "zoom-in.safetensors"), factors

    return write


@pytest.mark.parametrize("keys", [as_diffusers, as_published, as_kohya, as_peft])
def test_motion_loras_change_the_attentions_of_motion_modules(build, write, keys):
    motion = build()
    layers = {
        f"down_blocks.0.{MOTION}.attn1.to_q": (8, 8),
        f"mid_block.{MOTION}.attn2.to_out.0": (16, 16),
        f"up_blocks.0.{MOTION}.attn2.to_v": (16, 16),
    }
    before = {name: motion.unet.get_parameter(f"{name}.weight").clone() for name in layers}
    lora, factors = write(layers, keys)

    LoraSwitch({"unet": motion.unet}).apply(
        [Scaled(lora=fitted_with_motion(lora, {"unet": motion.unet}))]
    )

    assert changes_motion(lora)
    for name in layers:
        down, up = (factors[key] for key in keys(name))
        found = motion.unet.get_parameter(f"{name}.weight")
        assert torch.allclose(found, before[name] + up @ down, atol=1e-5)


@pytest.mark.parametrize("keys", [as_diffusers, as_published, as_peft])
def test_domain_adapters_are_plain_loras_of_the_unet(build, write, unet, keys):
    motion, name = build(), f"{SPATIAL}.attn1.to_k"
    lora, _ = write({name: (8, 8)}, keys)

    fitted = fitted_with_motion(lora, {"unet": motion.unet})

    assert not changes_motion(lora)
    assert set(fitted.factors) == {("unet", f"{name}.weight")}
    assert set(fitted_with_motion(lora, {"unet": unet}).factors) == set(fitted.factors)


def test_a_motion_lora_without_an_adapter_is_refused(write, unet):
    lora, _ = write({f"down_blocks.0.{MOTION}.attn1.to_q": (8, 8)})

    with pytest.raises(ModelError, match="'zoom-in' changes motion modules, and this UNet has no"):
        fitted_with_motion(lora, {"unet": unet})


@pytest.mark.parametrize("keys", [as_diffusers, as_published, as_kohya])
def test_a_motion_lora_with_a_middle_is_refused_where_there_is_none(build, write, keys):
    motion = build(has_middle=False)
    lora, _ = write({f"mid_block.{MOTION}.attn1.to_q": (16, 16)}, keys)

    with pytest.raises(ModelError, match="'zoom-in' is for another adapter: .* in the middle"):
        fitted_with_motion(lora, {"unet": motion.unet})


def test_a_motion_lora_of_other_widths_is_refused_with_both(build, write):
    lora, _ = write({f"down_blocks.0.{MOTION}.attn1.to_q": (320, 320)})

    with pytest.raises(ModelError, match=r"for \[320, 320\], this UNet has \[8, 8\]"):
        fitted_with_motion(lora, {"unet": build().unet})


def test_a_motion_lora_that_names_a_layer_twice_is_refused(build, tmp_path):
    layer, tensors = f"down_blocks.0.{MOTION}.attn1.to_q", {}
    for down, up in (as_diffusers(layer), as_published(layer)):
        tensors |= {down: torch.ones(1, 8), up: torch.ones(8, 1)}
    save_file(tensors, tmp_path / "twice.safetensors")
    lora = read_lora(tmp_path / "twice.safetensors")

    with pytest.raises(ModelError, match="under two names"):
        fitted_with_motion(lora, {"unet": build().unet})


def test_text_encoders_are_none_of_its_networks(build, write):
    lora, _ = write(
        {"x": (8, 8)}, lambda _: ("lora_te_x.lora_down.weight", "lora_te_x.lora_up.weight")
    )

    with pytest.raises(ModelError, match="a layer 'x' of a text encoder, and this has none"):
        fitted_with_motion(lora, {"unet": build().unet})


def test_a_layer_of_a_unet_without_motion_is_found_in_one_with(build, unet):
    linear = {name for name, part in unet.named_modules() if isinstance(part, nn.Linear)}

    assert linear <= {name for name, _ in build().unet.named_modules()}
