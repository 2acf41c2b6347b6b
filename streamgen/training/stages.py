"""The stages of `streamgen train tiny`: each opens its data, fits one part, leaves a checkpoint."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from streamgen.errors import ConfigError
from streamgen.training.captions import Captions
from streamgen.training.loop import Budget, Trainer
from streamgen.training.nets import (
    build_scheduler,
    build_text_encoder,
    build_unet,
    build_vae,
)
from streamgen.training.package import write_model
from streamgen.training.pairs import PairPool
from streamgen.training.photos import TEST_PHOTOS
from streamgen.training.pictures import StyledMix, open_crops
from streamgen.training.tokenizer import build_tokenizer
from streamgen.training.unet import Denoiser, UnetStage
from streamgen.training.vae import VaeStage

logger = logging.getLogger(__name__)

SENTENCES = 20_000
TEST_PX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One call of a stage.

    data: folder of photos and clips (see `photos.py`). out: folder of the run, one subfolder a
    stage. size_px, batch: of the crops. pairs: how many latent pairs are held at once; scenes:
    how many procedural pictures join the photographs.
    """

    data: Path
    out: Path
    minutes: float
    seed: int = 0
    resume: bool = False
    size_px: int = 128
    batch: int = 16
    pairs: int = 6000
    scenes: int = 200
    rate: float = 0.015
    save_every_s: float = 480.0

    def __post_init__(self) -> None:
        if not self.data.is_dir():
            raise ConfigError(f"data {str(self.data)!r}: there is no such folder")
        if not self.minutes > 0:
            raise ConfigError(f"minutes {self.minutes}: give a number above 0")
        if self.size_px < 64 or self.size_px % 32:
            raise ConfigError(f"size {self.size_px}: give a multiple of 32 from 64")
        if self.batch < 1 or self.pairs < self.batch:
            raise ConfigError(f"batch {self.batch}: give 1 or more, and no more than the pairs")

    def trainer(self, module: nn.Module, folder: Path) -> Trainer:
        folder.mkdir(parents=True, exist_ok=True)
        budget = Budget(minutes=self.minutes, rate=self.rate, save_every_s=self.save_every_s)
        trainer = Trainer(module, folder=folder, budget=budget)
        if self.resume:
            trainer.resume()
        return trainer


def train_vae(plan: Plan) -> None:
    """Fit the autoencoder."""
    torch.manual_seed(plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    mix = StyledMix(
        open_crops(plan.data, scenes=plan.scenes, generator=generator), Captions(generator)
    )
    vae = build_vae()
    trainer = plan.trainer(vae, plan.out / "vae")
    stage = VaeStage(
        vae,
        draw=lambda count: mix.draw(count, plan.size_px),
        test=test_pictures(plan.data),
        folder=trainer.folder,
        batch=plan.batch,
    )
    trainer.run(stage.loss, lambda step: stage.report())


def train_unet(plan: Plan) -> None:
    """Fit denoiser and text encoder to the autoencoder of the run."""
    torch.manual_seed(plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    captions = Captions(generator)
    crops = open_crops(plan.data, scenes=plan.scenes, generator=generator)
    vae = trained_vae(plan.out)
    settle_scale(plan.out, vae, StyledMix(crops, captions))
    stage, denoiser = _unet_stage(plan.out, vae)
    trainer = plan.trainer(denoiser, plan.out / "unet")
    pool = PairPool(vae, crops=crops, captions=captions, size_px=plan.size_px)
    pool.fill(plan.pairs)
    test = test_pictures(plan.data)
    trainer.run(
        lambda step: stage.train_on(pool, captions, plan.batch),
        _in_eval(denoiser, lambda: stage.report(test)),
    )


def package(out: Path) -> Path:
    """Write the averaged weights of both stages of a run as a diffusers folder and return it."""
    vae = trained_vae(out)
    settle_scale(out, vae, None)
    stage, denoiser = _unet_stage(out, vae)
    _load_average(denoiser, out / "unet")
    folder = out / "tiny"
    write_model(
        folder,
        vae=vae,
        unet=denoiser.unet,
        text_encoder=denoiser.text_encoder,
        tokenizer=stage.tokenizer,
        scheduler=build_scheduler(),
    )
    return folder


def _unet_stage(out: Path, vae: AutoencoderTiny) -> tuple[UnetStage, Denoiser]:
    tokenizer = run_tokenizer(out / "unet" / "tokenizer")
    text_encoder = build_text_encoder(
        vocabulary=len(tokenizer), bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id
    )
    denoiser = Denoiser(build_unet(), text_encoder)
    stage = UnetStage(
        denoiser, vae=vae, scheduler=build_scheduler(), tokenizer=tokenizer, folder=out / "unet"
    )
    return stage, denoiser


def run_tokenizer(folder: Path) -> CLIPTokenizer:
    """Return the tokenizer of a run, learned once; the same for every seed."""
    if (folder / "tokenizer.json").exists():
        loaded: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
        return loaded
    captions = Captions(torch.Generator().manual_seed(0))
    sentences = [captions.describe(captions.draw_wish()) for _ in range(SENTENCES)]
    return build_tokenizer(sentences, folder)


def trained_vae(out: Path) -> AutoencoderTiny:
    """Return the autoencoder of a run, with its averaged weights."""
    vae = build_vae()
    _load_average(vae, out / "vae")
    return vae.eval().to(memory_format=torch.channels_last)


@torch.no_grad()
def settle_scale(out: Path, vae: AutoencoderTiny, mix: StyledMix | None) -> None:
    """Give the autoencoder the factor that makes its latents unit variance, found once a run.

    mix: pictures to find it on; None where it must have been found. Raises ConfigError then.
    """
    path = out / "vae" / "latent_scale.json"
    if not path.exists():
        if mix is None:
            raise ConfigError(f"{path}: train the unet stage first")
        latents = torch.cat([vae.encode(mix.draw(16, 128) * 2 - 1).latents for _ in range(6)])
        path.write_text(json.dumps({"scaling_factor": round(1 / float(latents.std()), 4)}))
    vae.register_to_config(**json.loads(path.read_text()))


def _load_average(module: nn.Module, folder: Path) -> None:
    path = folder / "checkpoint.safetensors"
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{path}: train this stage first ({error})") from error
    prefix = "average."
    weights = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    module.load_state_dict(weights)


def _in_eval(
    module: nn.Module, report: Callable[[], Mapping[str, float]]
) -> Callable[[int], Mapping[str, float]]:
    def call(step: int) -> Mapping[str, float]:
        module.eval()
        figures = report()
        module.train()
        return figures

    return call


def test_pictures(data: Path) -> Tensor:
    """Return the photos that are never trained on: float [N, 3, 256, 256] in [0, 1].

    Raises ConfigError where the folder has none of them.
    """
    pictures = []
    for path in sorted(path for path in data.rglob("*.jpg") if path.name in TEST_PHOTOS):
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (TEST_PX, TEST_PX))
        pictures.append(torch.from_numpy(np.array(square)).permute(2, 0, 1) / 255)
    if not pictures:
        raise ConfigError(f"data {str(data)!r}: has none of the test photos {list(TEST_PHOTOS)}")
    return torch.stack(pictures)
