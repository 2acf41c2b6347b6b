"""The denoiser's stage: from a noisy latent, the clean source latent and a sentence to the answer.

x_t is made from the *source* latent, as at run time, and the answer is the *styled* latent of the
same picture, by an amount that follows the start level, so that `strength` moves smoothly. For two
rows in five x_t is made at a lower level from the answer itself, or from what the denoiser takes
for it, so that later steps mend what the first got wrong, and crispness counts for more.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, LCMScheduler
from torch import Tensor
from transformers import CLIPTokenizer

from streamgen.training.captions import Captions
from streamgen.training.nets import Denoiser
from streamgen.training.pairs import PairBatch, PairPool
from streamgen.training.sheet import save_sheet
from streamgen.training.styles import STYLES
from streamgen.training.vae import TEXTURE, sharp_loss, texture_loss, tone_loss

#: Timestep from which on the picture is fully redrawn: amount = min(1, t / FULL_FROM).
FULL_FROM = 800.0
#: Share of rows that start where the picture is redrawn in full, as users mostly want it.
FULL_SHARE = 0.55
REFINE_SHARE = 0.4
#: How much more texture counts in rows that are refined: the later steps are there for the detail.
REFINED_TEXTURE = 4.0
#: The same share among the rows that are refined: there a picture that is redrawn in part is
#: nearly always one that is to be redrawn in full and was drawn too timidly.
REFINED_FULL_SHARE = 0.9
#: Share of the refined rows that refine the denoiser's own answer, as it stands after some of at
#: most so many steps: its small errors add up, and it must learn to mend them.
OWN_SHARE = 0.75
MAX_STEPS = 4
SOURCE_NOISE = 0.04
#: Side, in latent pixels, of the window that is decoded for the picture loss.
WINDOW = 8


def amount_at(timestep: Tensor) -> Tensor:
    """Return how far the picture is redrawn when it starts at a timestep."""
    return (timestep.float() / FULL_FROM).clamp(0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """One batch to learn from; latents scaled, source unscaled as InstructPix2Pix has it.

    is_refined: bool [B], whether x_t was made from an answer.
    """

    noisy: Tensor
    timestep: Tensor
    source: Tensor
    target: Tensor
    is_refined: Tensor


class UnetStage:
    """Losses and reports of the denoiser."""

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        vae: AutoencoderTiny,
        scheduler: LCMScheduler,
        tokenizer: CLIPTokenizer,
        folder: Path,
    ) -> None:
        self.denoiser = denoiser
        self.vae = vae.requires_grad_(False)
        self.device = next(denoiser.parameters()).device
        self.alphas = scheduler.alphas_cumprod.float().to(self.device)
        self.tokenizer = tokenizer
        self.folder = folder
        self.scale = float(vae.config.scaling_factor)

    def train_on(
        self, pool: PairPool, captions: Captions, batch: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of one batch and what it tells."""
        began = time.monotonic()
        pool.refresh()
        pairs = pool.sample(batch)
        tokens = self.tokens([captions.describe(wish) for wish in pairs.wishes])
        data_s = time.monotonic() - began
        loss, figures = self.loss_on(pairs, tokens, generator)
        return loss, {**figures, "data_s": data_s}

    def loss_on(
        self, pairs: PairBatch, tokens: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of some pairs, in latents and in decoded pictures, and what it is of."""
        exercise = self.exercise(pairs, tokens, generator)
        with torch.autocast(tokens.device.type, dtype=torch.bfloat16):
            answer = self.denoiser(
                exercise.noisy, exercise.timestep, exercise.source, tokens
            ).float()
            half = (len(answer) + 1) // 2  # decoding costs more than denoising
            crispness = TEXTURE * torch.where(exercise.is_refined[:half], REFINED_TEXTURE, 1.0)
            picture_loss = self._picture_loss(
                answer[:half], exercise.target[:half], crispness, generator
            )
        latent_loss = 4 * F.huber_loss(answer, exercise.target, delta=0.5)
        latent_loss = latent_loss + tone_loss(answer, exercise.target)
        figures = {"latent": float(latent_loss.detach()), "picture": float(picture_loss.detach())}
        return latent_loss + picture_loss, figures

    def exercise(self, pairs: PairBatch, tokens: Tensor, generator: torch.Generator) -> Exercise:
        """Noise a batch of pairs as described at the top."""
        count, device = len(pairs.source), pairs.source.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(count, *shape, generator=generator).to(device)

        source, styled = pairs.source * self.scale, pairs.styled * self.scale
        spread = (uniform() * 0.75 + uniform() * 0.25).pow(0.75)
        high = 0.75 + 0.25 * uniform()
        refined_rows = uniform() < REFINE_SHARE
        full = uniform() < torch.where(refined_rows, REFINED_FULL_SHARE, FULL_SHARE)
        start = torch.where(full, high, spread)
        start = (start.clamp(0, 0.9999) * 1000).long()
        target = torch.lerp(source, styled, amount_at(start).view(-1, 1, 1, 1))
        grain = torch.randn(source.shape, generator=generator).to(device)
        seen = pairs.source + SOURCE_NOISE * uniform(1, 1, 1) * grain
        noisy = self._noised(source, start, generator)
        refined = refined_rows.nonzero()[:, 0]
        if len(refined):
            kept = uniform()[refined] < OWN_SHARE
            rows = (noisy[refined], start[refined], seen[refined], tokens[refined])
            own, later = self._part_way(*rows, generator)
            clean = torch.where(kept.view(-1, 1, 1, 1), own, target[refined])
            start = start.index_copy(0, refined, later)
            noisy = noisy.index_copy(0, refined, self._noised(clean, later, generator))
        return Exercise(
            noisy=noisy, timestep=start, source=seen, target=target, is_refined=refined_rows
        )

    def _mixed(self, clean: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        alpha = self.alphas[timestep].view(-1, 1, 1, 1)
        mixed: Tensor = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        return mixed

    def _noised(self, clean: Tensor, timestep: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        return self._mixed(clean, noise, timestep)

    def _part_way(
        self,
        noisy: Tensor,
        start: Tensor,
        source: Tensor,
        tokens: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Redraw in several steps, as at run time, and stop before the last ones.

        Returns the answer so far and the timesteps of the step that would come next.
        """
        steps = _draw(2, MAX_STEPS, generator)
        until = _draw(1, steps - 1, generator)
        answer = self._answer(noisy, start, source, tokens)
        for done in range(1, until):
            t = start * (steps - done) // steps
            answer = self._answer(self._noised(answer, t, generator), t, source, tokens)
        return answer, start * (steps - until) // steps

    @torch.no_grad()
    def _answer(self, noisy: Tensor, timestep: Tensor, source: Tensor, tokens: Tensor) -> Tensor:
        with torch.autocast(tokens.device.type, dtype=torch.bfloat16):
            answer: Tensor = self.denoiser(noisy, timestep, source, tokens).float()
        return answer

    def _picture_loss(
        self, answer: Tensor, target: Tensor, crispness: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Decode a window of each latent and compare sharply; crispness: weight [B] of texture."""
        top, left = (
            int(torch.randint(0, n - WINDOW + 1, (), generator=generator))
            for n in answer.shape[-2:]
        )
        window = (slice(None), slice(None), slice(top, top + WINDOW), slice(left, left + WINDOW))
        drawn = self.vae.decoder(answer[window] / self.scale).float()
        with torch.no_grad():
            wanted = self.vae.decoder(target[window] / self.scale).float()
        return sharp_loss(drawn, wanted) + texture_loss(drawn, wanted, crispness)

    def tokens(self, sentences: list[str]) -> Tensor:
        """Return token ids [B, 32]."""
        encoded = self.tokenizer(
            sentences, padding="max_length", truncation=True, return_tensors="pt"
        )
        ids: Tensor = encoded.input_ids.to(self.device)
        return ids

    @torch.no_grad()
    def drawn_latent(
        self, image: Tensor, sentences: list[str], *, timestep: int, steps: int = 1
    ) -> Tensor:
        """Redraw pictures [B, 3, H, W] in [0, 1]; return unscaled latents."""
        latent = self.vae.encode(image * 2 - 1).latents
        tokens, generator = self.tokens(sentences), torch.Generator().manual_seed(0)
        answer: Tensor = latent * self.scale
        for k in range(steps):
            t = torch.full((len(image),), timestep * (steps - k) // steps, device=self.device)
            noise = torch.randn(latent[:1].shape, generator=generator).to(latent)
            answer = self.denoiser(self._mixed(answer, noise, t), t, latent, tokens)
        return answer / self.scale

    @torch.no_grad()
    def redraw(self, image: Tensor, sentence: str, timestep: int) -> Tensor:
        """Redraw pictures [B, 3, H, W] in [0, 1] in one step."""
        latent = self.drawn_latent(image, [sentence] * len(image), timestep=timestep)
        picture: Tensor = self.vae.decode(latent).sample
        return (picture / 2 + 0.5).clamp(0, 1)

    def report(self, test: Tensor) -> Mapping[str, float]:
        """Draw the contact sheet (source, then reference and answer per style); return dB."""
        test = test.to(self.device)
        rows, score = [test], {}
        for style in STYLES:
            wanted, drawn = style.draw(test).clamp(0, 1), self.redraw(test, style.name, 799)
            error = (wanted - drawn).square().flatten(1).mean(dim=1)
            score[style.name] = float((-10 * torch.log10(error)).mean())
            rows += [wanted, drawn]
        save_sheet(rows, self.folder / "sheet.png")
        return {**score, "mean_db": sum(score.values()) / len(score)}


def _draw(low: int, high: int, generator: torch.Generator) -> int:
    """Return a whole number from low to high."""
    return int(torch.randint(low, high + 1, (), generator=generator))
