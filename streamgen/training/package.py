"""Writes the trained parts in fp16 as a `StableDiffusionInstructPix2PixPipeline` folder."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    AutoencoderTiny,
    LCMScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer


def write_model(
    folder: Path,
    *,
    vae: AutoencoderTiny,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    scheduler: LCMScheduler,
) -> None:
    """Write the folder that `load_model` and `DiffusionPipeline.from_pretrained` both read."""
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
