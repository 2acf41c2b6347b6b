"""The networks of a frame as plain modules with named tensors, ready to be compiled.

Pixels go in and come out as uint8 [B, H, W, 3], so that conversion is part of the network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn

from streamgen.models.parts import Vae

#: What SDXL's UNet is told beside the text: of the whole sentence, and sizes in pixels.
SDXL_INPUTS = ("text_embeds", "time_ids")


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


class ConditionedDenoiser(nn.Module):
    """x, t, text as `Denoiser` takes them, then further inputs by name → answer [B, C, h, w].

    names: of the further inputs, in the order that they come in; what each is, `specs` says.
    """

    def __init__(self, unet: UNet2DConditionModel, names: Sequence[str]) -> None:
        super().__init__()
        self.unet = unet
        self.names = tuple(names)

    def forward(self, x: Tensor, t: Tensor, text: Tensor, *further: Tensor) -> Tensor:
        dtype = self.unet.dtype
        told = {name: each.to(dtype) for name, each in zip(self.names, further, strict=True)}
        sample = x.to(dtype)
        if "source" in told:
            sample = torch.cat([sample, told["source"]], dim=1)
        residuals = tuple(told[name] for name in self.names if name.startswith("down_"))
        answer: Tensor = self.unet(
            sample,
            t,
            text.to(dtype),
            timestep_cond=told.get("guidance"),
            added_cond_kwargs={name: told[name] for name in SDXL_INPUTS if name in told},
            down_block_additional_residuals=residuals or None,
            mid_block_additional_residual=told.get("mid"),
            return_dict=False,
        )[0]
        return answer


def denoiser_of(unet: UNet2DConditionModel, names: Sequence[str]) -> nn.Module:
    """Return a UNet as a network that takes x, t, text and the further inputs of these names."""
    plain = not names or tuple(names) == ("source",)
    return Denoiser(unet) if plain else ConditionedDenoiser(unet, names)
