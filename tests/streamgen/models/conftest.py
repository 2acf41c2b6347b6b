"""Small models with seeded random weights: for shapes, parity and errors only."""

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    EulerDiscreteScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    MotionAdapter,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from streamgen.training.tokenizer import build_tokenizer


def build_unet(in_channels, out_channels, **further):
    return UNet2DConditionModel(
        in_channels=in_channels,
        out_channels=out_channels,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=4,
        **{"cross_attention_dim": 12, **further},
    )


def build_text(folder):
    tokenizer = build_tokenizer(["oil", "a pencil sketch"], folder)
    return tokenizer, CLIPTextModel(text_config(tokenizer))


def text_config(tokenizer, **further):
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        intermediate_size=24,
        num_attention_heads=2,
        max_position_embeddings=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **{"hidden_size": 12, "num_hidden_layers": 1, **further},
    )


def build_vae():
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
    )


def save(kind, folder, **parts):
    absent = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = kind(**parts, **({} if kind is StableDiffusionXLPipeline else absent))
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
    return save(
        StableDiffusionPipeline,
        tmp_path_factory.mktemp("plain"),
        vae=build_vae(),
        unet=build_unet(4, 4),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=EulerDiscreteScheduler(timestep_spacing="trailing", steps_offset=1),
    )


@pytest.fixture(scope="session")
def xl_folder(tmp_path_factory):
    """An SDXL-type model: two text encoders, each with its own padding, and sizes told."""
    torch.manual_seed(2)
    tokenizer, _ = build_text(tmp_path_factory.mktemp("tokenizer"))
    second, _ = build_text(tmp_path_factory.mktemp("tokenizer"))
    second.pad_token = "o"
    smaller = text_config(tokenizer, num_hidden_layers=2)
    larger = text_config(second, hidden_size=16, num_hidden_layers=2, projection_dim=10)
    return save(
        StableDiffusionXLPipeline,
        tmp_path_factory.mktemp("xl"),
        vae=build_vae(),
        unet=build_unet(
            4,
            4,
            cross_attention_dim=12 + 16,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 10,
        ),
        text_encoder=CLIPTextModel(smaller),
        text_encoder_2=CLIPTextModelWithProjection(larger),
        tokenizer=tokenizer,
        tokenizer_2=second,
        scheduler=LCMScheduler(clip_sample=False),
    )


@pytest.fixture(scope="session")
def guided_folder(tmp_path_factory):
    """A latent consistency model that was taught to guide itself, and knows the scale."""
    torch.manual_seed(3)
    tokenizer, text_encoder = build_text(tmp_path_factory.mktemp("tokenizer"))
    return save(
        LatentConsistencyModelPipeline,
        tmp_path_factory.mktemp("guided"),
        vae=build_vae(),
        unet=build_unet(4, 4, time_cond_proj_dim=16),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=LCMScheduler(clip_sample=False),
    )


@pytest.fixture(scope="session")
def adapter_folder(tmp_path_factory):
    """Random modules for the small UNets here; what they add is as large as what they add to."""
    folder = tmp_path_factory.mktemp("motion") / "small"
    torch.manual_seed(1)
    adapter = MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_max_seq_length=32,
    )
    with torch.no_grad():
        for weight in adapter.parameters():
            weight.add_(torch.randn(weight.shape) * 0.05)
    adapter.save_pretrained(folder)
    return folder
