"""Learns a style from pairs of pictures: a LoRA on the UNet of a model made as `tiny` is.

The losses are those that the model was trained with (`unet.py`); text encoder, autoencoder and the
UNet's own weights stay as they are.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor

from streamgen.errors import ModelError
from streamgen.models.loading import LoadedModel, load_model
from streamgen.models.registry import find_model
from streamgen.training.lora_layers import Branches
from streamgen.training.lora_loop import LoraTrainer
from streamgen.training.lora_pairs import Pair, crops, held_back, read_pairs, squares
from streamgen.training.lora_plan import LoraPlan
from streamgen.training.nets import Denoiser, build_scheduler, initial_weights
from streamgen.training.pairs import PairBatch
from streamgen.training.sheet import save_sheet
from streamgen.training.unet import UnetStage

logger = logging.getLogger(__name__)

#: Where the pictures of the sheet start: at the model's usual strength.
FULL_T = 799


def train_lora(plan: LoraPlan) -> Path:
    """Train as planned; return the LoRA's file. Log and contact sheet lie in `plan.folder`."""
    plan.check()
    learned, shown = held_back(read_pairs(plan.photos, plan.drawn, least_px=plan.size_px))
    logger.info("%d pairs to learn from, %d to show", len(learned), len(shown))
    with initial_weights(plan.seed):  # layers are drawn at random before they are loaded
        model = load_model(find_model(plan.model))
    check_kind(model)
    branches = Branches(model.unet, rank=plan.rank, seed=plan.seed).to(plan.device)
    plan.make_folder()
    stage = LoraStage(model, branches, plan=plan)
    trainer = LoraTrainer(
        branches, folder=plan.folder, rate=plan.rate, save_every_s=plan.save_every_s
    )
    if plan.resume:
        trainer.resume()
    trainer.run(
        plan.length,
        lambda step: stage.learn(learned, plan.generator(step)),
        lambda step: stage.keep(shown, step),
    )
    return plan.out


def check_kind(model: LoadedModel) -> None:
    """Raise ModelError for a model that the losses are not made for."""
    found = (model.kind, model.schedule.prediction, type(model.vae).__name__)
    if found != ("instruct_pix2pix", "sample", AutoencoderTiny.__name__):
        raise ModelError(
            f"model {model.row.name!r} is of the kind {' '.join(found)}: LoRAs are trained here"
            " for tiny, and for folders of models that `streamgen train tiny` made"
        )


class LoraStage(UnetStage):
    """Losses and reports of a LoRA; the denoiser has its branches where it is to learn."""

    def __init__(self, model: LoadedModel, branches: Branches, *, plan: LoraPlan) -> None:
        denoiser = Denoiser(model.unet, model.text_encoder).eval().requires_grad_(False)
        super().__init__(
            denoiser.to(plan.device),
            vae=model.vae.eval().to(plan.device, memory_format=torch.channels_last),
            scheduler=build_scheduler(),
            tokenizer=model.tokenizer,
            folder=plan.folder,
        )
        self.alphas = torch.tensor(model.schedule.alphas_cumprod, device=self.device)
        self.branches = branches
        self.plan = plan

    def learn(
        self, pairs: Sequence[Pair], generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of a batch of crops and what it tells."""
        began = time.monotonic()
        batch, tokens = self._batch(pairs, generator)
        data_s = time.monotonic() - began
        with self.branches.attached():
            loss, figures = self.loss_on(batch, tokens, generator)
        return loss, {**figures, "data_s": data_s}

    def keep(self, pairs: Sequence[Pair], step: int) -> Mapping[str, float]:
        """Write the LoRA, and the sheet: photos, drawings, without and with it; return dB."""
        photos, drawn = (picture.to(self.device) for picture in squares(pairs))
        base = self.redraw(photos, self.plan.prompt, FULL_T)
        with self.branches.attached():
            made = self.redraw(photos, self.plan.prompt, FULL_T)
        save_sheet([photos, drawn, base, made], self.folder / "sheet.png")
        told = {"model": self.plan.model, "prompt": self.plan.prompt, "steps": step}
        partial = self.folder / "lora.partial"
        # One entry: of several, safetensors writes now this one first and now that.
        save_file(self.branches.tensors("unet"), partial, metadata={"training": json.dumps(told)})
        partial.replace(self.plan.out)
        return {"mean_db": _decibels(made, drawn), "without": _decibels(base, drawn)}

    @torch.no_grad()
    def _batch(self, pairs: Sequence[Pair], generator: torch.Generator) -> tuple[PairBatch, Tensor]:
        count = self.plan.batch
        cut = crops(pairs, count, size_px=self.plan.size_px, generator=generator)
        both = torch.cat(cut).to(self.device, memory_format=torch.channels_last) * 2 - 1
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            latents = self.vae.encoder(both)
        source, styled = latents.float().contiguous().chunk(2)
        tokens = self.tokens([self.plan.prompt] * count)
        return PairBatch(source=source, styled=styled, wishes=[]), tokens


def _decibels(made: Tensor, wanted: Tensor) -> float:
    error = (made - wanted).square().flatten(1).mean(dim=1)
    return float((-10 * torch.log10(error.clamp_min(1e-10))).mean())
