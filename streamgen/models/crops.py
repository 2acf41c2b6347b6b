"""The autoencoder compiled for parts of the picture, for `streamgen.temporal.reuse`."""

from __future__ import annotations

from concurrent.futures import Executor

import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from engines.spec import INT8
from streamgen.frame import Pixels
from streamgen.models.engines import Engines
from streamgen.models.ports import Port, Ports, port_of
from streamgen.models.quantised import terms_of
from streamgen.models.specs import spec_of

#: Sides of a crop, in parts of the picture's, by area: few, as each is two networks to compile.
SHARES = ((0.5, 0.5), (0.5, 1.0), (1.0, 0.5), (0.75, 0.75))
#: Latent cells of a side that a crop has at least.
LEAST = 8


class AutoencoderCrops:
    """Encodes and decodes crops of a few sizes; a size is compiled when it is first needed.

    With an executor it is compiled there, and the size is none until it is ready.
    """

    def __init__(self, engines: Engines, executor: Executor | None = None) -> None:
        self._engines = engines
        _, height, width = engines.latent_shape
        self._cells = height, width
        self.sizes = [
            (round(height * down), round(width * across))
            for down, across in SHARES
            if min(height * down, width * across) >= LEAST
        ]
        self._ports = Ports(self._compile, (1,), executor=executor)

    def size_for(self, height: int, width: int) -> tuple[int, int] | None:
        """Return the size, in cells, of the least crop that has these sides; None for the whole."""
        fitting = (size for size in self.sizes if height <= size[0] and width <= size[1])
        return next((size for size in fitting if self._is_there(size)), None)

    def encode(self, pixels: Pixels) -> Tensor:
        """Return the latent, [C, h, w], not scaled, of a crop, uint8 [H, W, 3]."""
        side = self._engines.config.height // self._cells[0]
        role = f"vae_encoder_{pixels.shape[0] // side}_{pixels.shape[1] // side}"
        return self._ports.run(role, pixels=torch.from_numpy(pixels)[None])[0]

    def decode(self, latent: Tensor) -> Pixels:
        """Return uint8 [H, W, 3] of a crop's scaled latent, [C, h, w]; valid until the next."""
        role = f"vae_decoder_{latent.shape[1]}_{latent.shape[2]}"
        drawn = self._ports.run(role, latent=latent[None] / self._engines.scale)
        pixels: Pixels = drawn[0].cpu().numpy()
        return pixels

    def close(self) -> None:
        """Give the networks back."""
        self._ports.close()

    def _is_there(self, size: tuple[int, int]) -> bool:
        """Tell whether both stages can be had for a size; what is missing is asked for."""
        stages = ("vae_encoder", "vae_decoder")
        are_there = [self._ports.is_there(f"{stage}_{size[0]}_{size[1]}") for stage in stages]
        return all(are_there)

    def _compile(self, role: str, batch: int) -> Port:
        engines = self._engines
        name, height, width = role.rsplit("_", 2)
        side = engines.config.height // self._cells[0]
        spec = spec_of(
            name,
            batch,
            engines.model,
            size=(int(width) * side, int(height) * side),
            precision=engines.precision_of(name),
        )
        terms = terms_of(spec, engines.modules)
        compiled = engines.networks.compile(spec, engines.modules[name], **terms)
        return port_of(compiled, device=engines.device, shared={})


def crops_of(engines: object) -> AutoencoderCrops | None:
    """Return what runs the autoencoder of engines on crops; None where that would not do.

    They are compiled where the engines' own networks are.

    It is exact enough for an AutoencoderTiny, of convolutions alone, as a normalisation sees the
    whole picture; not in int8, as each size is quantised to ranges of its own; and it is of use on
    a CPU only.
    """
    if not isinstance(engines, Engines) or engines.device.type != "cpu":
        return None
    if engines.config.precision == INT8 or not isinstance(engines.model.vae, AutoencoderTiny):
        return None
    return AutoencoderCrops(engines, engines.ports.executor)
