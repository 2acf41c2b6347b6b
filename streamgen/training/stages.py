"""The stages of `streamgen train tiny`: each opens its data, fits one part, leaves a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from transformers import CLIPTokenizer

from streamgen.errors import ConfigError
from streamgen.models.loading import load_model
from streamgen.models.registry import find_model
from streamgen.training.captions import Captions
from streamgen.training.checkpoint import checkpoint_in, load_average
from streamgen.training.decoder import DecoderStage
from streamgen.training.latents import settle_scale, trained_vae
from streamgen.training.motion import FRAMES, MotionStage
from streamgen.training.motion_layers import MotionLayers
from streamgen.training.motion_losses import Balance
from streamgen.training.motion_pool import ClipPool
from streamgen.training.motion_report import MotionReport
from streamgen.training.nets import (
    Denoiser,
    build_scheduler,
    build_text_encoder,
    build_unet,
    build_vae,
    initial_weights,
)
from streamgen.training.package import add_adapter, write_model
from streamgen.training.pairs import PairPool
from streamgen.training.photos import TEST_PHOTOS, load_files
from streamgen.training.pictures import StyledMix, mix_scenes
from streamgen.training.plan import Plan
from streamgen.training.unet import UnetStage
from streamgen.training.vae import VaeStage

SENTENCES = 20_000
TEST_PX = 256


def train_vae(plan: Plan) -> None:
    """Fit the autoencoder."""
    folder = plan.folder_of("vae")
    if (later := checkpoint_in(plan.out / "decoder")).exists():
        raise ConfigError(f"{later} was trained for the autoencoder as it is: remove it first")
    files, test = load_files(plan.data), test_pictures(plan.data)
    with initial_weights(plan.seed):
        vae = build_vae().to(plan.device)
    trainer = plan.trainer(vae, folder)
    generator = plan.generator(trainer.step)
    crops = mix_scenes(files, count=plan.scenes, generator=generator, device=plan.device)
    mix = StyledMix(crops, Captions(generator))
    stage = VaeStage(
        vae, draw=lambda count: mix.draw(count, plan.size_px), test=test, folder=folder
    )
    trainer.run(lambda step: stage.train_on(plan.batch, generator), lambda step: stage.report())


def train_unet(plan: Plan) -> None:
    """Fit denoiser and text encoder to the autoencoder of the run."""
    folder = plan.folder_of("unet")
    files, test = load_files(plan.data), test_pictures(plan.data)
    vae = trained_vae(plan.out).to(plan.device)
    tokenizer = run_tokenizer(folder / "tokenizer")
    denoiser = _build_denoiser(tokenizer, seed=plan.seed).to(plan.device)
    trainer = plan.trainer(denoiser, folder)
    generator = plan.generator(trainer.step)
    captions = Captions(generator)
    crops = mix_scenes(files, count=plan.scenes, generator=generator, device=plan.device)
    settle_scale(plan.out, vae, StyledMix(crops, captions))
    stage = UnetStage(
        denoiser, vae=vae, scheduler=build_scheduler(), tokenizer=tokenizer, folder=folder
    )
    pool = PairPool(vae, crops=crops, captions=captions, size_px=plan.size_px)
    pool.fill(plan.pairs)
    trainer.run(
        lambda step: stage.train_on(pool, captions, plan.batch, generator=generator),
        _in_eval(denoiser, lambda: stage.report(test)),
    )


def train_decoder(plan: Plan) -> None:
    """Fit the decoder to what the denoiser gives it; encoder and denoiser stay as they are."""
    folder = plan.folder_of("decoder")
    files, test = load_files(plan.data), test_pictures(plan.data)
    vae = trained_vae(plan.out).to(plan.device)
    settle_scale(plan.out, vae, None)
    tokenizer = run_tokenizer(plan.out / "unet" / "tokenizer")
    denoiser = _build_denoiser(tokenizer, seed=0)
    load_average(denoiser, plan.out / "unet")
    painter = UnetStage(
        denoiser.to(plan.device).eval().requires_grad_(False),
        vae=vae,
        scheduler=build_scheduler(),
        tokenizer=tokenizer,
        folder=folder,
    )
    trainer = plan.trainer(vae.decoder.requires_grad_(True), folder)
    generator = plan.generator(trainer.step)
    crops = mix_scenes(files, count=plan.scenes, generator=generator, device=plan.device)
    stage = DecoderStage(painter, crops=crops, captions=Captions(generator), size_px=plan.size_px)
    trainer.run(
        lambda step: stage.train_on(plan.batch, generator), lambda step: painter.report(test)
    )


def train_motion(plan: Plan, model: str = "tiny", *, balance: Balance | None = None) -> None:
    """Fit motion modules to a model that is made already: tiny, or the folder of one like it.

    `plan.pairs` counts frames, `plan.batch` clips. balance: of what is learned.
    """
    folder = plan.folder_of("motion")
    files, test = load_files(plan.data), test_pictures(plan.data)
    with initial_weights(plan.seed):  # layers are drawn at random before they are loaded
        loaded = load_model(find_model(model))
    loaded.unet.to(plan.device)
    layers = MotionLayers(loaded.unet, seed=plan.seed)
    stage = MotionStage(loaded, layers, device=plan.device, balance=balance)
    trainer = plan.trainer(layers, folder)
    generator = plan.generator(trainer.step)
    captions = Captions(generator)
    crops = mix_scenes(files, count=plan.scenes, generator=generator, device=plan.device)
    pool = ClipPool(stage.vae, crops=crops, captions=captions, frames=FRAMES, size_px=plan.size_px)
    pool.fill(max(plan.batch, plan.pairs // FRAMES))
    report = MotionReport(stage, test, size_px=plan.size_px)
    trainer.run(
        lambda step: stage.train_on(pool, captions, plan.batch, generator=generator),
        lambda step: report.write(folder),
    )


def package(out: Path) -> Path:
    """Write the averaged weights of a run as a diffusers folder and return it.

    A motion adapter that the run has lies in it, in `motion`.
    """
    vae = trained_vae(out)
    settle_scale(out, vae, None)
    tokenizer = run_tokenizer(out / "unet" / "tokenizer")
    denoiser = _build_denoiser(tokenizer, seed=0)
    load_average(denoiser, out / "unet")
    folder = out / "tiny"
    write_model(
        folder,
        vae=vae,
        unet=denoiser.unet,
        text_encoder=denoiser.text_encoder,
        tokenizer=tokenizer,
        scheduler=build_scheduler(),
    )
    add_adapter(folder, out / "motion" / "adapter")
    return folder


def _build_denoiser(tokenizer: CLIPTokenizer, *, seed: int) -> Denoiser:
    with initial_weights(seed):
        text_encoder = build_text_encoder(
            vocabulary=len(tokenizer), bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id
        )
        return Denoiser(build_unet(), text_encoder)


def run_tokenizer(folder: Path) -> CLIPTokenizer:
    """Return the tokenizer of a run, learned once; the same for every seed."""
    if (folder / "tokenizer.json").exists():
        loaded: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
        return loaded
    from streamgen.training.tokenizer import build_tokenizer  # needs the train extra

    captions = Captions(torch.Generator().manual_seed(0))
    sentences = [captions.describe(captions.draw_wish()) for _ in range(SENTENCES)]
    return build_tokenizer(sentences, folder)


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
