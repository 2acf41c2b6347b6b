"""Small models with seeded random weights: for shapes, parity and errors only."""

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel

from streamgen.training.tokenizer import build_tokenizer


def build_unet(in_channels, out_channels):
    return UNet2DConditionModel(
        in_channels=in_channels,
        out_channels=out_channels,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=12,
        norm_num_groups=4,
    )


def build_text(folder):
    tokenizer = build_tokenizer(["oil", "a pencil sketch"], folder)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=12,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return tokenizer, CLIPTextModel(config)


def save(kind, folder, **parts):
    pipeline = kind(
        **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def edit_folder(tmp_path_factory):
    """An InstructPix2Pix-type model with a small autoencoder and x0 prediction."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("edit")
    tokenizer, text_encoder = build_text(tmp_path_factory.mktemp("tokenizer"))
    width = (8, 8, 8, 8)
    vae = AutoencoderTiny(
        encoder_block_out_channels=width,
        decoder_block_out_channels=width,
        latent_channels=6,
        scaling_factor=1.4,
    )
    return save(
        StableDiffusionInstructPix2PixPipeline,
        folder,
        vae=vae,
        unet=build_unet(12, 6),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=LCMScheduler(prediction_type="sample", clip_sample=False),
    )


@pytest.fixture(scope="session")
def plain_folder(tmp_path_factory):
    """A Stable-Diffusion-type model with a KL autoencoder and noise prediction."""
    torch.manual_seed(1)
    tokenizer, text_encoder = build_text(tmp_path_factory.mktemp("tokenizer"))
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
    )
    return save(
        StableDiffusionPipeline,
        tmp_path_factory.mktemp("plain"),
        vae=vae,
        unet=build_unet(4, 4),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=EulerDiscreteScheduler(timestep_spacing="trailing", steps_offset=1),
    )
