"""The three networks of a frame as plain modules with named tensors, ready to be compiled.

Pixels go in and come out as uint8 [B, H, W, 3], so that conversion is part of the network.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn

from streamgen.models.loading import Vae


class PixelEncoder(nn.Module):
    """pixels uint8 [B, H, W, 3] → latent [B, C, h, w], not scaled; the mode of a KL encoder."""

    def __init__(self, vae: Vae) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, pixels: Tensor) -> Tensor:
        image = pixels.permute(0, 3, 1, 2).to(self.vae.dtype) / 127.5 - 1.0
        encoded = self.vae.encode(image)
        latent: Tensor
        if isinstance(self.vae, AutoencoderTiny):
            latent = encoded.latents
        else:
            latent = encoded.latent_dist.mode()
        return latent


class PixelDecoder(nn.Module):
    """latent [B, C, h, w], not scaled → pixels uint8 [B, H, W, 3]."""

    def __init__(self, vae: Vae) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent: Tensor) -> Tensor:
        image = self.vae.decode(latent.to(self.vae.dtype)).sample
        levels: Tensor = (image * 127.5 + 127.5).clamp(0, 255).round()
        return levels.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


class Denoiser(nn.Module):
    """x [B, C, h, w], t [B], text [B, T, D] (, source [B, C, h, w]) → answer [B, C, h, w]."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, t: Tensor, text: Tensor, source: Tensor | None = None) -> Tensor:
        """source: the clean latent that InstructPix2Pix-type models see beside x, not scaled."""
        sample = x if source is None else torch.cat([x, source], dim=1)
        dtype = self.unet.dtype
        answer: Tensor = self.unet(sample.to(dtype), t, text.to(dtype), return_dict=False)[0]
        return answer
