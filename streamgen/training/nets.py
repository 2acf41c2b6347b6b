"""The networks of the built-in model, as empty shapes; knows nothing of data or training.

The classes are those of diffusers and transformers, so that the folder written from them is an
ordinary `StableDiffusionInstructPix2PixPipeline` (Brooks et al. 2022, arXiv 2211.09800).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import AutoencoderTiny, LCMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

LATENT_CHANNELS = 16
TEXT_WIDTH = 96
TEXT_TOKENS = 32


@contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """Let what is built inside draw its weights from a seed; torch's own generator stays."""
    # Modules draw from the global generator of the CPU and take no other.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed % 2**63)
        yield


def build_vae() -> AutoencoderTiny:
    """Return the autoencoder: f = 8, 16 latent channels, 32 feature channels, 0.6 M parameters."""
    width = (32, 32, 32, 32)
    return AutoencoderTiny(
        encoder_block_out_channels=width,
        decoder_block_out_channels=width,
        latent_channels=LATENT_CHANNELS,
    )


def build_unet() -> UNet2DConditionModel:
    """Return the denoiser: noisy latent ++ clean source latent in, clean latent out."""
    return UNet2DConditionModel(
        in_channels=2 * LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(96, 128, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        # Styles are drawn at the finest level: depth there costs little time and buys most.
        layers_per_block=(3, 1, 1),
        # diffusers keeps an old name: in UNet2DConditionModel this is the number of heads.
        attention_head_dim=(3, 4, 4),
        cross_attention_dim=TEXT_WIDTH,
        # The sentence also steers every block through its normalisation: a style is everywhere,
        # and the finest level, where lines are drawn, has no attention of its own.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=16,
    )


def build_text_encoder(*, vocabulary: int, bos: int, eos: int) -> CLIPTextModel:
    """Return the text encoder: two layers, width 96, 32 tokens.

    vocabulary: number of tokens; bos, eos: ids of the start and end token.
    """
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TEXT_TOKENS,
        hidden_act="gelu",
        projection_dim=TEXT_WIDTH,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=eos,
    )
    return CLIPTextModel(config)


def build_scheduler() -> LCMScheduler:
    """Return the schedule: Stable Diffusion's betas, x0 prediction (targets grow as 1/s in v)."""
    return LCMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="sample",
        clip_sample=False,
        set_alpha_to_one=True,
    )


class Denoiser(nn.Module):
    """What is trained together: the UNet and the text encoder."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: CLIPTextModel) -> None:
        super().__init__()
        self.unet = unet.to(memory_format=torch.channels_last)
        self.text_encoder = text_encoder

    def forward(self, noisy: Tensor, t: Tensor, source: Tensor, tokens: Tensor) -> Tensor:
        """Return the clean scaled latent."""
        text = self.text_encoder(tokens).last_hidden_state
        sample: Tensor = self.unet(torch.cat([noisy, source], dim=1), t, text).sample
        return sample
