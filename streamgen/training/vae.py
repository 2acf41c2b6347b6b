"""The autoencoder's stage: sharp pictures through 16 latent channels at one eighth the size."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor

from streamgen.training.sheet import save_sheet

#: Noise put on latents, so that the decoder forgives what a denoiser gets slightly wrong.
LATENT_NOISE = 0.06
#: Weight of `texture_loss` beside the losses that punish every wrong pixel.
TEXTURE = 1.5


def image_gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return differences of neighbouring pixels, down and right."""
    return image[..., 1:, :] - image[..., :-1, :], image[..., :, 1:] - image[..., :, :-1]


def sharp_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return L1 on pixels plus L1 on their gradients, which punishes blur."""
    pixels = (output - target).abs().mean()
    pairs = zip(image_gradients(output), image_gradients(target), strict=True)
    return pixels + sum(((a - b).abs().mean() for a, b in pairs), torch.zeros(()))


def tone_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return L1 on means over windows of 4 × 4: small errors of colour that all pixels share."""
    return F.l1_loss(F.avg_pool2d(output, 4), F.avg_pool2d(target, 4))


def texture_loss(output: Tensor, target: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """Return how far the strength of fine structure differs, window by window.

    weight: of each picture, [B], or of all.

    Mean and root of the mean square of first and second derivatives over windows of 8 × 8 px, at
    full and half size. Where a picture cannot be told exactly the pixel losses are least for a
    blur; this one is least for something as crisp as the target, its few sharp edges as sharp.
    """
    loss = torch.zeros(len(output), device=output.device)
    for _ in range(2):
        for drawn, wanted in zip(_derivatives(output), _derivatives(target), strict=True):
            differ = _pooled(drawn.abs() - wanted.abs()).abs()
            differ = differ + (_root(drawn.square()) - _root(wanted.square())).abs()
            loss = loss + 0.5 * differ.flatten(1).mean(dim=1)
        output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
    return (loss * weight).mean()


def _derivatives(image: Tensor) -> tuple[Tensor, ...]:
    """Return first and second derivatives along x and y."""
    x, y = image_gradients(image)
    return x, y, image_gradients(x)[0], image_gradients(y)[1]


def _pooled(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 8, stride=4)


def _root(image: Tensor) -> Tensor:
    # The root of zero has no slope.
    return (_pooled(image) + 1e-5).sqrt()


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio of each picture in dB; both in [-1, 1]."""
    error = (output.clamp(-1, 1) - target).square().flatten(1).mean(dim=1)
    return 10 * torch.log10(4.0 / error.clamp_min(1e-10))


class VaeStage:
    """Losses and reports of the autoencoder."""

    def __init__(
        self,
        vae: AutoencoderTiny,
        *,
        draw: Callable[[int], Tensor],
        test: Tensor,
        folder: Path,
    ) -> None:
        """draw(count) gives [count, 3, H, W] in [0, 1]; test: pictures never trained on, alike."""
        self.vae = vae.to(memory_format=torch.channels_last)
        self.draw = draw
        self.test = test.to(vae.device) * 2 - 1
        self.folder = folder

    def train_on(
        self, count: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """Return the loss of a batch of `count` pictures and what it tells."""
        began = time.monotonic()
        image = self.draw(count) * 2 - 1
        image = image.contiguous(memory_format=torch.channels_last)
        data_s = time.monotonic() - began
        with torch.autocast(image.device.type, dtype=torch.bfloat16):
            latent = self.vae.encoder(image)
            noise = torch.randn(latent.shape, generator=generator)
            output = self.vae.decoder(latent + LATENT_NOISE * noise.to(latent))
        output, latent = output.float(), latent.float()
        outside = (latent.abs() - 2.5).clamp_min(0).square().mean()
        loss = sharp_loss(output, image) + TEXTURE * texture_loss(output, image) + 0.1 * outside
        figures = {"psnr": float(psnr(output.detach(), image).mean()), "data_s": data_s}
        return loss, {**figures, "latent_std": float(latent.detach().std())}

    def report(self) -> Mapping[str, float]:
        """Draw the contact sheet, pictures over reconstructions; return dB."""
        output = self.vae.decode(self.vae.encode(self.test).latents).sample
        save_sheet([self.test / 2 + 0.5, output / 2 + 0.5], self.folder / "sheet.png")
        return {"test_psnr": float(psnr(output, self.test).mean())}
