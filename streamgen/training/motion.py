"""The motion stage: temporal modules that make a model's pictures follow each other.

The model stays as it is. Clips are seen frame by frame as at run time, each frame by what the ring
holds; what is wanted is coherent by construction (`motion_clips.py`). Beside the losses of the
denoiser, what is wrong in a frame should be wrong in the next one alike, where the flow has taken
it: an error that stays is hardly seen, one that changes flickers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from streamgen.errors import ModelError
from streamgen.models.loading import LoadedModel
from streamgen.training.captions import Captions
from streamgen.training.motion_layers import MotionLayers
from streamgen.training.motion_losses import Balance, bent, changed
from streamgen.training.motion_pool import ClipBatch, ClipPool
from streamgen.training.nets import LATENT_CHANNELS
from streamgen.training.unet import WINDOW, amount_at
from streamgen.training.vae import sharp_loss, texture_loss, tone_loss

#: Frames of a clip: more than the ring holds, so that rolling slots are written again.
FRAMES = 12
#: Share of clips that start where the picture is redrawn in full, as users mostly want it.
FULL_SHARE = 0.75
#: Share of batches in which a step after the first is learned, and most steps that there are.
REFINE_SHARE, MAX_STEPS = 0.25, 4
#: Share of clips whose noise is the same in every frame, as streams have it unless asked.
FIXED_NOISE_SHARE = 0.8
#: Frames in a row that are decoded: as many as it takes to bend.
DECODED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One batch to learn from: latents [B, F, C, h, w], scaled but for source; timestep [B]."""

    noisy: Tensor
    timestep: Tensor
    source: Tensor
    target: Tensor


class MotionStage:
    """Losses of the modules, and answers of the model with and without them."""

    def __init__(
        self,
        model: LoadedModel,
        layers: MotionLayers,
        *,
        device: str,
        balance: Balance | None = None,
    ) -> None:
        check_model(model)
        self.balance = balance or Balance()
        self.device = torch.device(device)
        # Not in channels_last: on a CPU torch 2.13 dies in the gradient of a group norm of such a
        # picture where the picture itself needs none, as before the first of the modules.
        self.unet = model.unet.eval().requires_grad_(False).to(device)
        self.vae = model.vae.eval().requires_grad_(False)
        self.vae.to(device, memory_format=torch.channels_last)
        self.text_encoder = model.text_encoder.eval().requires_grad_(False).to(device)
        self.tokenizer = model.tokenizer
        self.alphas = torch.tensor(model.schedule.alphas_cumprod, device=device)
        self.scale = float(model.vae.config["scaling_factor"])
        self.layers = layers

    def train_on(
        self, pool: ClipPool, captions: Captions, batch: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one batch and what it tells."""
        began = time.monotonic()
        pool.refresh()
        clips = pool.sample(batch)
        text = self.text([captions.describe(wish) for wish in clips.wishes])
        data_s = time.monotonic() - began
        loss, figures = self.loss_on(clips, text, generator)
        return loss, {**figures, "data_s": data_s}

    def loss_on(
        self, clips: ClipBatch, text: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of some clips, in latents, in pictures and over time; and its parts."""
        lesson = self.lesson(clips, text, generator)
        answer = self.answer(lesson.noisy, lesson.timestep, lesson.source, text)
        error = answer - lesson.target
        latent = self.balance.latent * F.huber_loss(answer, lesson.target, delta=0.5)
        latent = latent + tone_loss(answer.flatten(0, 1), lesson.target.flatten(0, 1))
        calm = self.balance.changing_latent * changed(error, clips.flow, clips.is_known)
        picture, picture_calm = self._pictures(answer, lesson.target, clips, generator)
        temporal = calm + picture_calm
        parts = {"latent": latent, "picture": picture, "temporal": temporal}
        figures = {name: float(part.detach()) for name, part in parts.items()}
        return latent + picture + temporal, figures

    def lesson(self, clips: ClipBatch, text: Tensor, generator: torch.Generator) -> Lesson:
        """Noise a batch as a stream does: from the source, or from the answer of a step before."""
        count = len(clips.source)

        def uniform() -> Tensor:
            return torch.rand(count, generator=generator).to(self.device)

        full, spread = 0.75 + 0.25 * uniform(), uniform().pow(0.75)
        start = torch.where(uniform() < FULL_SHARE, full, spread).clamp(0, 0.9999) * 1000
        t = start.long()
        source, styled = clips.source * self.scale, clips.styled * self.scale
        target = torch.lerp(source, styled, amount_at(t).view(-1, 1, 1, 1, 1))
        noisy = self.noised(source, t, self._noise(source, generator))
        if float(torch.rand((), generator=generator)) < REFINE_SHARE:
            steps = int(torch.randint(2, MAX_STEPS + 1, (), generator=generator))
            later = t * int(torch.randint(1, steps, (), generator=generator)) // steps
            with torch.no_grad():
                drawn = self.answer(noisy, t, clips.source, text)
            noisy, t = self.noised(drawn, later, self._noise(source, generator)), later
        return Lesson(noisy=noisy, timestep=t, source=clips.source, target=target)

    def answer(self, noisy: Tensor, t: Tensor, source: Tensor, text: Tensor) -> Tensor:
        """Return what the model with its modules draws, [B, F, C, h, w], scaled.

        noisy: scaled, source: unscaled, both of that shape; t: [B]; text: [B, T, D].
        """
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return self.layers.drawn(noisy, t, text, source).float()

    def frozen_answer(self, noisy: Tensor, t: Tensor, source: Tensor, text: Tensor) -> Tensor:
        """Return what the model draws as it is: `answer` without modules."""
        frames = noisy.shape[1]
        both = torch.cat([noisy, source], dim=2).flatten(0, 1)
        each = (t.repeat_interleave(frames), text.repeat_interleave(frames, dim=0))
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            drawn: Tensor = self.unet(both, *each, return_dict=False)[0]
        return drawn.float().view(noisy.shape)

    def noised(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Return latents [B, F, C, h, w] at timesteps [B]; noise: alike, or of one frame."""
        alpha = self.alphas[t].view(-1, 1, 1, 1, 1)
        mixed: Tensor = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        return mixed

    @torch.no_grad()
    def text(self, sentences: list[str]) -> Tensor:
        """Return what the model makes of sentences, [B, T, D]."""
        encoded = self.tokenizer(
            sentences, padding="max_length", truncation=True, return_tensors="pt"
        )
        state: Tensor = self.text_encoder(encoded.input_ids.to(self.device)).last_hidden_state
        return state

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        fresh = torch.randn(like.shape, generator=generator)
        is_fixed = torch.rand(len(like), 1, 1, 1, 1, generator=generator) < FIXED_NOISE_SHARE
        return torch.where(is_fixed, fresh[:, :1], fresh).to(like)

    def _pictures(
        self, answer: Tensor, target: Tensor, clips: ClipBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Decode a window of some frames in a row of each clip.

        Returns how far they are from what is wanted, and how much of that changes between them.
        """
        first = _draw(answer.shape[1] - DECODED + 1, generator)
        top, left = (_draw(n - WINDOW + 1, generator) for n in answer.shape[-2:])
        window = (..., slice(top, top + WINDOW), slice(left, left + WINDOW))
        row, steps = slice(first, first + DECODED), slice(first, first + DECODED - 1)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            drawn = self.vae.decoder(answer[:, row][window].flatten(0, 1) / self.scale).float()
            with torch.no_grad():
                wanted = self.vae.decoder(target[:, row][window].flatten(0, 1) / self.scale)
        wanted = wanted.float()
        cell, shape = drawn.shape[-1] // WINDOW, (-1, DECODED - 1)
        flow = clips.flow[:, steps][window].flatten(0, 1) * cell
        flow = F.interpolate(flow, scale_factor=cell, mode="bilinear").unflatten(0, shape)
        known = clips.is_known[:, steps][window].flatten(0, 1).float()
        known = F.interpolate(known, scale_factor=cell).unflatten(0, shape) > 0.5
        error = (drawn - wanted).unflatten(0, (-1, DECODED))
        loss = sharp_loss(drawn, wanted) + texture_loss(drawn, wanted, self.balance.texture)
        calm = self.balance.changing * changed(error, flow, known)
        return loss, calm + self.balance.bending * bent(error, cell)


def check_model(model: LoadedModel) -> None:
    """Raise ModelError for a model that the losses are not made for."""
    found = (model.kind, model.schedule.prediction, model.latent_channels)
    if found != ("instruct_pix2pix", "sample", LATENT_CHANNELS):
        raise ModelError(
            f"model {model.row.name!r} is of the kind {found[0]} that predicts {found[1]} with"
            f" {found[2]} latent channels: motion is trained here for tiny, and for folders of"
            " models that `streamgen train tiny` made"
        )


def _draw(below: int, generator: torch.Generator) -> int:
    return int(torch.randint(0, below, (), generator=generator))
