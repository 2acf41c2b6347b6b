"""How near every backend stays to torch fp32 on the networks that diffusers is made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn

from engines.protocol import CompiledModule, EngineBackend
from engines.spec import EngineSpec, TensorSpec
from engines.verify import compare, sample_inputs

Compile = Callable[[EngineSpec, nn.Module], CompiledModule]


class Denoise(nn.Module):
    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: Tensor, t: Tensor, text: Tensor) -> Tensor:
        drawn: Tensor = self.unet(sample, t, text, return_dict=False)[0]
        return drawn


class Decode(nn.Module):
    def __init__(self, vae: AutoencoderTiny) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        image: Tensor = self.vae.decode(latents, return_dict=False)[0]
        levels = ((image + 1.0) * 127.5).round().clamp(0.0, 255.0)
        return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def small_unet() -> Denoise:
    torch.manual_seed(0)
    return Denoise(
        UNet2DConditionModel(
            sample_size=8,
            in_channels=8,
            out_channels=4,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=8,
            norm_num_groups=8,
        )
    ).eval()


def unet_spec(precision: str) -> EngineSpec:
    return EngineSpec(
        role="unet",
        inputs=(
            TensorSpec("sample", (2, 8, 8, 8), "float32"),
            TensorSpec("t", (2,), "float32"),
            TensorSpec("text", (2, 7, 32), "float32"),
        ),
        outputs=(TensorSpec("drawn", (2, 4, 8, 8), "float32"),),
        precision=precision,
    )


def small_decoder() -> Decode:
    torch.manual_seed(0)
    return Decode(
        AutoencoderTiny(
            encoder_block_out_channels=(16, 16),
            decoder_block_out_channels=(16, 16),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
            latent_channels=4,
        )
    ).eval()


def decoder_spec(precision: str) -> EngineSpec:
    return EngineSpec(
        role="vae_decoder",
        inputs=(TensorSpec("latents", (1, 4, 8, 8), "float32"),),
        outputs=(TensorSpec("pixels", (1, 16, 16, 3), "uint8"),),
        precision=precision,
    )


def test_fp32_diffusers_unet_equals_the_reference_to_1e_4(compiled_by: Compile) -> None:
    spec, module = unet_spec("fp32"), small_unet()
    inputs = sample_inputs(spec, seed=2) | {"t": torch.tensor([999.0, 250.5])}

    report = compare(compiled_by(spec, module), module, inputs=inputs)

    assert report.outputs[0].max_abs < 1e-4


def test_every_precision_of_the_cpu_is_30_db_from_the_reference(
    compiled_by: Compile, backend: EngineBackend
) -> None:
    module = small_unet()
    for precision in backend.precisions("cpu"):
        spec = unet_spec(precision)
        inputs = sample_inputs(spec, seed=2) | {"t": torch.tensor([999.0, 250.5])}

        compiled = compiled_by(spec, module)
        output = compare(compiled, module, inputs=inputs).outputs[0]

        assert compiled.computes_in == precision
        assert output.snr_db >= 30.0
        if precision != "fp32":
            assert output.max_abs > 1e-5  # else it computed in fp32, and silently


def test_tiny_decoder_gives_the_same_pixels_within_one_level(compiled_by: Compile) -> None:
    spec, module = decoder_spec("fp32"), small_decoder()

    report = compare(compiled_by(spec, module), module, inputs=sample_inputs(spec, seed=3))

    assert report.outputs[0].max_abs <= 1


def test_a_late_timestep_is_as_exact_as_an_early_one(
    compiled_by: Compile, backend: EngineBackend
) -> None:
    """In bf16 a timestep of 999 would be 1000, and its sines wrong."""
    module = small_unet()
    for precision in backend.precisions("cpu"):
        spec = unet_spec(precision)
        compiled = compiled_by(spec, module)
        drawn = sample_inputs(spec, seed=2)

        early = compare(compiled, module, inputs=drawn | {"t": torch.tensor([1.0, 2.0])})
        late = compare(compiled, module, inputs=drawn | {"t": torch.tensor([999.0, 733.5])})

        assert late.outputs[0].snr_db >= early.outputs[0].snr_db - 3.0


def test_pixels_of_every_precision_are_30_db_from_the_reference(
    compiled_by: Compile, backend: EngineBackend
) -> None:
    module = small_decoder()
    for precision in backend.precisions("cpu"):
        spec = decoder_spec(precision)

        report = compare(compiled_by(spec, module), module, inputs=sample_inputs(spec, seed=3))

        assert report.outputs[0].snr_db >= 30.0
