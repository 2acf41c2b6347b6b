"""A small random model with an adapter that changes much, as folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
)

from streamgen.animation.clip import ClipDrawing
from streamgen.animation.clip_model import ClipModel, load_clip_model
from streamgen.animation.planning import Asked, plan_of
from streamgen.models.registry import find_model
from streamgen.sources import Size

LENGTH = 16
SIZE = Size(64, 64)


@pytest.fixture(scope="session")
def model_folder(
    save_small_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    torch.manual_seed(2)
    vae = AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        layers_per_block=1,
        latent_channels=4,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
    )
    blocks = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    folder = tmp_path_factory.mktemp("models") / "small"
    return save_small_model(folder, unet=blocks, vae=vae, scheduler=scheduler)


@pytest.fixture(scope="session")
def adapter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    adapter = MotionAdapter(
        block_out_channels=(8, 16),
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_max_seq_length=LENGTH,
    ).requires_grad_(False)
    for weight in adapter.parameters():
        weight.add_(torch.randn(weight.shape) * 0.15)
    made = tmp_path_factory.mktemp("adapters") / "moving"
    adapter.save_pretrained(made)
    return made


@dataclass(frozen=True, kw_only=True)
class Studio:
    """A model with its adapter, and what draws clips with it."""

    model: ClipModel
    adapter: Path
    plain: ClipModel

    def plan(self, *, has_picture=False, **asked):
        told = {"prompt": "oil", "negative_prompt": "", "frames": 6, "seed": 3, **asked}
        return plan_of(
            Asked(**told), self.model, adapter=self.adapter, size=SIZE, has_picture=has_picture
        )

    def drawing(self, camera=None, **asked):
        plan = self.plan(has_picture=camera is not None, **asked)
        return ClipDrawing(self.model, plan, camera)

    def without_adapter(self, camera=None, **asked):
        plan = self.plan(has_picture=camera is not None, **asked)
        return ClipDrawing(self.plain, plan, camera)


@pytest.fixture(scope="session")
def studio(model_folder: Path, adapter_folder: Path) -> Studio:
    row = find_model(str(model_folder))
    return Studio(
        model=load_clip_model(row, adapter_folder, device="cpu"),
        adapter=adapter_folder,
        plain=load_clip_model(row, None, device="cpu"),
    )
