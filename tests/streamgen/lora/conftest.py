"""Small networks with seeded random weights, LoRAs for all their layers, and one that was trained.

Files, all of them; the trained one is for `tiny`, and made when it is first asked for.
"""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from benchmarks.clip import SAMPLE
from engines.spec import EngineSpec, TensorSpec
from streamgen.lora.fit import fitted
from streamgen.lora.read import read_lora
from streamgen.training.lora import train_lora
from streamgen.training.lora_plan import LoraPlan
from streamgen.training.styles.filters import (
    contrast,
    gradient_map,
    kuwahara,
    luma,
    posterise,
)

RANK = 3
#: Of the frames of the sample clip, from here on, the trained LoRA knows none.
HELD_OUT = 64


@pytest.fixture
def build_unet():
    """Returns a UNet of the given widths, with seeded weights."""

    def build(*, widths=(8, 16), cross=12, seed=0, **further):
        torch.manual_seed(seed)
        return UNet2DConditionModel(
            in_channels=4,
            out_channels=4,
            block_out_channels=widths,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            attention_head_dim=2,
            norm_num_groups=4,
            cross_attention_dim=cross,
            **further,
        ).requires_grad_(False)

    return build


@pytest.fixture
def build_text():
    """Returns a text encoder with seeded weights, the first's or the second's class."""

    def build(*, seed=0, projects=False):
        torch.manual_seed(seed)
        config = CLIPTextConfig(
            vocab_size=50,
            hidden_size=12,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            projection_dim=10,
        )
        kind = CLIPTextModelWithProjection if projects else CLIPTextModel
        return kind(config).eval().requires_grad_(False)

    return build


@pytest.fixture
def layers_of():
    """Returns the layers of a network that a LoRA can change, by name."""

    def layers(module):
        kinds = (nn.Linear, nn.Conv2d)
        return {name: part for name, part in module.named_modules() if isinstance(part, kinds)}

    return layers


@pytest.fixture
def random_factors(layers_of):
    """Returns (down, up) for all layers of a network, or those whose name holds a word."""

    def factors(module, *, seed=1, rank=RANK, only="", dtype=torch.float32):
        generator = torch.Generator().manual_seed(seed)

        def drawn(*shape):
            return (torch.randn(*shape, generator=generator) * 0.2).to(dtype)

        found = {}
        for name, layer in layers_of(module).items():
            out, *inputs = layer.weight.shape
            ones = [1] * (len(inputs) - 1)
            if only in name:
                found[name] = drawn(rank, *inputs), drawn(out, rank, *ones)
        return found

    return factors


def kohya_keys(network, layer):
    prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_", "text_encoder_2": "lora_te2_"}
    base = prefix[network] + layer.replace(".", "_")
    return f"{base}.lora_down.weight", f"{base}.lora_up.weight", f"{base}.alpha"


def peft_keys(network, layer):
    base = f"{network}.{layer}"
    return f"{base}.lora_A.weight", f"{base}.lora_B.weight", f"{base}.alpha"


def diffusers_keys(network, layer):
    base = f"{network}.{layer}"
    return f"{base}.lora.down.weight", f"{base}.lora.up.weight", f"{base}.alpha"


def processor_keys(network, layer):
    """Of old: attentions have processors, and those hold all four layers."""
    before, dot, last = layer.removesuffix(".0").rpartition(".")
    if last not in ("to_q", "to_k", "to_v", "to_out"):
        return diffusers_keys(network, layer)
    base = f"{network}.{before}.processor.{last}_lora"
    return f"{base}.down.weight", f"{base}.up.weight", f"{base}.alpha"


@pytest.fixture(params=[kohya_keys, peft_keys, diffusers_keys, processor_keys])
def keys(request):
    """Returns the keys (down, up, alpha) of a layer, in each of the namings in turn."""
    return request.param


@pytest.fixture
def write_lora(tmp_path):
    """Writes factors, by network and layer, to a file; returns its path."""

    def write(parts, *, name="style", keys=kohya_keys, alpha=None, metadata=None):
        tensors = {}
        for network, factors in parts.items():
            for layer, (down, up) in factors.items():
                down_key, up_key, alpha_key = keys(network, layer)
                tensors |= {down_key: down.clone(), up_key: up.clone()}
                if alpha is not None:
                    tensors[alpha_key] = torch.tensor(alpha)
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path, metadata=metadata)
        return path

    return write


def duotone(image):
    """The style of the trained LoRA, which `tiny` does not know: four greens."""
    grey = contrast(luma(kuwahara(image, 3)), 1.2)
    steps = posterise(grey.expand(-1, 3, -1, -1), 4, softness=0.3)[:, :1]
    return gradient_map(steps, [(0.0, 0.20, 0.15), (0.95, 1.0, 0.40)]).clamp(0, 1)


@pytest.fixture(scope="session", name="duotone")
def _duotone():
    return duotone


@pytest.fixture(scope="session")
def sample_frames():
    """The sample clip: float [90, 3, 256, 256] in [0, 1]."""
    with av.open(str(SAMPLE)) as clip:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)])
    square = torch.from_numpy(frames)[:, :, 60:420].permute(0, 3, 1, 2) / 255
    return F.interpolate(square, size=(256, 256), mode="bilinear", antialias=True)


@pytest.fixture(scope="session")
def held_out_frames(sample_frames):
    """Frames that the trained LoRA has not seen: float [4, 3, 256, 256] in [0, 1]."""
    return sample_frames[HELD_OUT::7]


@pytest.fixture(scope="session")
def trained_lora(sample_frames, tmp_path_factory):
    """A LoRA that draws `duotone` with an empty prompt, trained for about a minute: its file."""
    folder = tmp_path_factory.mktemp("lora")
    for name in ("photos", "drawn"):
        (folder / name).mkdir()
    for number in range(0, HELD_OUT - 8, 4):
        photo = sample_frames[number : number + 1]
        for name, picture in (("photos", photo), ("drawn", duotone(photo))):
            pixels = (picture[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    plan = LoraPlan(
        photos=folder / "photos",
        drawn=folder / "drawn",
        out=folder / "duotone.safetensors",
        steps=60,
        size_px=96,
        batch=4,
        rate=0.006,
        save_every_s=600,
    )
    threads = torch.get_num_threads()
    # The layers are so small that two threads on busy cores wait for each other most of the time.
    torch.set_num_threads(1)
    try:
        return train_lora(plan)
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def loras(networks, random_factors, write_lora):
    """Three that touch different weights of a test's `networks`, some the same; the second all."""
    found = []
    for seed, word in {1: "attn", 2: "", 3: "conv"}.items():
        parts = {
            network: random_factors(module, seed=seed, only=word)
            for network, module in networks.items()
        }
        found.append(fitted(read_lora(write_lora(parts, name=f"style{seed}")), networks))
    return found


@pytest.fixture
def spec_in():
    """Returns what a small denoiser is called with, in a precision."""

    def tensor(name, *shape):
        return TensorSpec(name=name, shape=shape, dtype="float32")

    def spec(precision, *, swaps_weights=False):
        return EngineSpec(
            role="unet",
            inputs=(tensor("x", 1, 4, 8, 8), tensor("t", 1), tensor("text", 1, 5, 12)),
            outputs=(tensor("answer", 1, 4, 8, 8),),
            precision=precision,
            swaps_weights=swaps_weights,
        )

    return spec


@pytest.fixture
def answer():
    """Returns what a compiled small denoiser answers at a timestep."""

    def answered(compiled, *, t=400.0):
        generator = torch.Generator().manual_seed(5)
        inputs = {
            "x": torch.randn(1, 4, 8, 8, generator=generator),
            "t": torch.tensor([t]),
            "text": torch.randn(1, 5, 12, generator=generator),
        }
        binding = compiled.bind(inputs)
        binding.run()
        return binding.outputs["answer"].clone()

    return answered
