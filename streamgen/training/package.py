"""Writes the trained parts in fp16 as a `StableDiffusionInstructPix2PixPipeline` folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderTiny,
    LCMScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

from streamgen.motion.adapter import read_adapter
from streamgen.motion.ring_file import RING
from streamgen.training.motion_layers import write_ring


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


def add_adapter(folder: Path, adapter: Path) -> None:
    """Put a motion adapter into the folder of a model, in place of one that was there.

    Without one nothing is put there. Raises ModelError for one that cannot be read.
    """
    there = folder / "motion"
    shutil.rmtree(there, ignore_errors=True)
    if not adapter.is_dir():
        return
    read_adapter(adapter)
    shutil.copytree(adapter, there)
    # Runs that began before there was such a file had the same ring.
    if not (there / RING).exists():
        write_ring(there)
