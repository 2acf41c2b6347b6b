"""A model with the motion modules of an adapter, for whole clips, on one device; torch alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from streamgen.errors import ModelError
from streamgen.frame import Pixels
from streamgen.lora.apply import LoraSwitch
from streamgen.lora.delta import Scaled
from streamgen.lora.fit import Networks
from streamgen.lora.read import read_lora
from streamgen.models.loading import LoadedModel, load_model
from streamgen.models.networks import PixelDecoder, PixelEncoder, denoiser_of
from streamgen.models.reading import networks_of
from streamgen.models.registry import ModelRow
from streamgen.models.specs import further_inputs, latent_scale
from streamgen.motion.adapter import read_adapter
from streamgen.motion.loras import fitted_with_motion
from streamgen.motion.unet import MotionUnet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipModel:
    """Encodes, answers and decodes.

    network: a `MotionUnet`, or what draws each frame alone. names: of its further inputs. length:
    how many frames may be answered together, None where that is all the same. scale: latents are
    multiplied by it for the network.
    """

    model: LoadedModel
    network: nn.Module
    names: tuple[str, ...]
    length: int | None
    scale: float
    device: torch.device

    @torch.no_grad()
    def encode(self, pixels: Pixels) -> Tensor:
        """Return the latent, [C, h, w] float32, not scaled, of uint8 [H, W, 3]."""
        given = torch.from_numpy(pixels)[None].to(self.device)
        latent: Tensor = PixelEncoder(self.model.vae)(given)[0].float()
        return latent

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Pixels:
        """Return uint8 [H, W, 3] of a scaled latent, [C, h, w]."""
        if not bool(torch.isfinite(latent).all()):
            raise ModelError(
                f"model {self.model.row.name!r} drew NaN or infinity: its weights, its scheduler"
                " config or those of the motion adapter are wrong"
            )
        drawn = PixelDecoder(self.model.vae)(latent[None] / self.scale)
        pixels: Pixels = drawn[0].cpu().numpy()
        return pixels

    @torch.no_grad()
    def answer(self, x: Tensor, t: int, text: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        """Return the answer for some frames that see each other, [F, C, h, w] float32 as x.

        text: [T, D]. cond: further inputs by name, of each frame, [F, ...], or of all, [1, ...].
        """
        times = torch.tensor([t], device=self.device)
        further = [cond[name] for name in self.names]
        answer: Tensor
        if isinstance(self.network, MotionUnet):
            answer = self.network.frames(x[None], times, text[None], *further)[0]
        else:
            told = (each.expand(len(x), *each.shape[1:]) for each in (times, text[None], *further))
            answer = self.network(x, *told)
        return answer.float()


def load_clip_model(
    row: ModelRow,
    adapter: Path | None,
    *,
    device: str,
    adapter_name: str = "",
    loras: Sequence[tuple[Path, float]] = (),
) -> ClipModel:
    """Load a model, an adapter's folder where there is one, and LoRAs at their scales.

    adapter_name: that people know it by, where it is not the folder's.
    On a GPU the network is in float16; the autoencoder never is, for some cannot be.
    """
    told = None if adapter is None else read_adapter(adapter, adapter_name)
    model = load_model(row)
    names = further_inputs(model.unet.config)
    network: nn.Module
    if told is None:
        network = denoiser_of(model.unet, names)
        unet: nn.Module = model.unet
    else:
        network = MotionUnet(model.unet, told, names=names)
        unet = network.unet
    _put_in(loras, {**networks_of(model), "unet": unet})
    network.requires_grad_(False)
    network.to(device, torch.float32 if device == "cpu" else torch.float16)
    model.vae.requires_grad_(False).to(device)
    return ClipModel(
        model=model,
        network=network,
        names=names,
        length=None if told is None else told.layout.length,
        scale=latent_scale(model),
        device=torch.device(device),
    )


def _put_in(loras: Sequence[tuple[Path, float]], networks: Networks) -> None:
    """Change the networks' weights for good."""
    if not loras:
        return
    LoraSwitch(networks).apply(
        tuple(
            Scaled(lora=fitted_with_motion(read_lora(path), networks), scale=scale)
            for path, scale in loras
        )
    )
