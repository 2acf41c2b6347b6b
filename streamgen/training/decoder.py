"""The decoder's own stage, after the denoiser's: crisp pictures from latents that are a little off.

Half of each batch is what the denoiser draws, mostly in one step, to become what the filter of its
style draws; the other half is what the encoder gives, so that untouched pictures stay as good.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from streamgen.training.captions import Captions
from streamgen.training.photos import PhotoCrops
from streamgen.training.pictures import StyledMix
from streamgen.training.unet import UnetStage
from streamgen.training.vae import LATENT_NOISE, sharp_loss, texture_loss

#: Weight of the texture loss for what the denoiser draws, which would be too soft, and for what the
#: encoder gives, which should stay close to its picture.
DRAWN_TEXTURE = 3.5
PLAIN_TEXTURE = 1.0
#: One wish is drawn for so many pictures, as styles work on groups.
GROUP = 4
FULL_T = 799
#: Share of the groups that are drawn in so many steps, the others in one.
MORE_SHARE = 0.35
MORE_STEPS = 4


class DecoderStage:
    """Losses of the decoder; the painter holds it with the encoder and the denoiser."""

    def __init__(
        self, painter: UnetStage, *, crops: PhotoCrops, captions: Captions, size_px: int
    ) -> None:
        self.painter = painter
        self.crops = crops
        self.captions = captions
        self.mix = StyledMix(crops, captions)
        self.size_px = size_px

    def train_on(
        self, count: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of a batch of `count` pictures and what it tells."""
        began = time.monotonic()
        wanted, latent = self._batch(count, generator)
        data_s = time.monotonic() - began
        vae = self.painter.vae
        with torch.autocast(wanted.device.type, dtype=torch.bfloat16):
            output = vae.decoder(latent).float()
        is_plain = torch.arange(count, device=wanted.device) < count - count // 2
        crisp = texture_loss(output, wanted, torch.where(is_plain, PLAIN_TEXTURE, DRAWN_TEXTURE))
        loss = sharp_loss(output, wanted) + crisp
        return loss, {"texture": float(crisp.detach()), "data_s": data_s}

    @torch.no_grad()
    def _batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return pictures in [-1, 1] and the latents that are to become them."""
        plain = self.mix.draw(count - count // 2, self.size_px) * 2 - 1
        wanted, latents = [plain], [self._noisy(plain, generator)]
        for start in range(0, count // 2, GROUP):
            size = min(GROUP, count // 2 - start)
            image, wish = self.crops.draw(size, self.size_px), self.captions.draw_wish()
            wanted.append(wish.draw(image).clamp(0, 1) * 2 - 1)
            sentences = [self.captions.describe(wish) for _ in range(size)]
            is_longer = float(torch.rand((), generator=generator)) < MORE_SHARE
            latents.append(self._drawn(image, sentences, steps=MORE_STEPS if is_longer else 1))
        return torch.cat(wanted), torch.cat(latents)

    def _noisy(self, picture: Tensor, generator: torch.Generator) -> Tensor:
        """Return what the encoder gives for `picture`, a little off."""
        with torch.autocast(picture.device.type, dtype=torch.bfloat16):
            latent: Tensor = self.painter.vae.encoder(picture).float()
        noise = torch.randn(latent.shape, generator=generator).to(latent)
        return latent + LATENT_NOISE * noise

    def _drawn(self, image: Tensor, sentences: list[str], *, steps: int) -> Tensor:
        """Return what the denoiser draws of `image`."""
        draw = self.painter.drawn_latent
        with torch.autocast(image.device.type, dtype=torch.bfloat16):
            return draw(image, sentences, timestep=FULL_T, steps=steps).float()
