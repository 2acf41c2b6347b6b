"""The networks of a shape with their specifications: seeded random weights, for speed only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn

from benchmarks.gpu.cases import Case
from benchmarks.gpu.count import Work, count_work
from engines.binding import torch_dtype
from engines.spec import EngineSpec, TensorSpec
from streamgen.models.architectures import make
from streamgen.models.networks import PixelDecoder, PixelEncoder, denoiser_of
from streamgen.models.specs import further_inputs, unet_spec, vae_spec

SEED = 0
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The two published networks of a shape, by the names of their architectures."""

    unet: str
    vae: str


SHAPES: Mapping[str, Parts] = {
    "sd-turbo": Parts(unet="sd-turbo-unet", vae="taesd"),
    "sd-1.5": Parts(unet="sd15-unet", vae="taesd"),
    "sdxl-turbo": Parts(unet="sdxl-turbo-unet", vae="taesdxl"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What a backend is given; spec: for the rows of one tick."""

    spec: EngineSpec
    module: nn.Module

    @property
    def rows(self) -> int:
        """How many a tick has."""
        return self.spec.inputs[0].usual_shape[0]

    def spec_for(self, rows: int) -> EngineSpec:
        """Return the specification for another number of rows."""
        sides = {
            kind: tuple(replace(each, shape=(rows, *each.shape[1:])) for each in tensors)
            for kind, tensors in (("inputs", self.spec.inputs), ("outputs", self.spec.outputs))
        }
        return replace(self.spec, inputs=sides["inputs"], outputs=sides["outputs"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """The networks of a picture's way by role, and what latents are multiplied by in between."""

    parts: Mapping[str, Network]
    scale: float


def make_networks(
    case: Case,
    precision: str,
    *,
    scale: float,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Networks:
    """Make the networks of a case with seeded random weights. scale: of their widths.

    device: where they are drawn, which a GPU does faster; they are on the CPU then. "meta" for
    networks that are only counted.
    """
    shape = SHAPES[case.shape]
    unet = make(shape.unet, seed=SEED, scale=scale, device=device, dtype=dtype)
    vae = make(shape.vae, seed=SEED, scale=scale, device=device, dtype=dtype)
    assert isinstance(unet, UNet2DConditionModel) and isinstance(vae, AutoencoderTiny)
    modules = {
        "vae_encoder": PixelEncoder(vae),
        "unet": denoiser_of(unet, further_inputs(unet.config)),
        "vae_decoder": PixelDecoder(vae),
    }
    specs = _specs(case, unet, vae, precision)
    home = device if device == "meta" else "cpu"
    parts = {
        role: Network(spec=specs[role], module=module.eval().to(home))
        for role, module in modules.items()
    }
    return Networks(parts=parts, scale=float(vae.config.scaling_factor))


def counted(case: Case, precision: str, *, scale: float) -> dict[str, tuple[Work, ...]]:
    """Return the work of one tick by role, of networks in a precision."""
    made = make_networks(case, precision, scale=scale, device="meta", dtype=_DTYPES[precision])
    return {
        role: count_work(part.module, [_meta(each) for each in part.spec.inputs])
        for role, part in made.parts.items()
    }


def _meta(tensor: TensorSpec) -> Tensor:
    return torch.empty(tensor.usual_shape, dtype=torch_dtype(tensor), device="meta")


def _specs(
    case: Case, unet: UNet2DConditionModel, vae: AutoencoderTiny, precision: str
) -> dict[str, EngineSpec]:
    """Return the specifications; the UNet has a row for each step of each stream."""
    sides = (case.size.height, case.size.width)
    found = {
        role: vae_spec(role, case.streams, vae.config, sides=sides, precision=precision)
        for role in ("vae_encoder", "vae_decoder")
    }
    _, _, height, width = found["vae_encoder"].outputs[0].usual_shape
    rows = case.streams * case.steps
    found["unet"] = unet_spec(unet.config, rows, latent=(height, width), precision=precision)
    return found
