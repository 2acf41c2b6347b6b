"""One tick of streams in steady state over fixed tensors: pictures in, pictures out.

pixels ─▶ encode ─▶ noise in ─▶ [ unet: a row a level of each stream ] ─▶ decode ─▶ pixels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from benchmarks.gpu.cases import Case
from benchmarks.gpu.networks import Network, Networks
from engines.binding import torch_dtype
from engines.protocol import CompiledModule
from engines.spec import TensorSpec
from streamgen.guidance import clean_from, renoised
from streamgen.schedule import Level, levels, schedule_from, t_index_list

_STRENGTH = 0.6
#: The levels of Stable Diffusion (Rombach et al. 2022, arXiv 2112.10752), predicting noise.
_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


class Bound:
    """A network with its tensors for all rows of a tick, run in the parts it is compiled for."""

    def __init__(
        self, network: Network, parts: Sequence[CompiledModule], *, device: str, seed: int
    ) -> None:
        """parts: compiled for numbers of rows that make the tick's, one after the other."""
        generator = torch.Generator().manual_seed(seed)
        spec = network.spec
        self.inputs = {each.name: _filled(each, generator).to(device) for each in spec.inputs}
        self.outputs = {each.name: _empty(each, device) for each in spec.outputs}
        self.bindings, start = [], 0
        for part in parts:
            end = start + part.spec.inputs[0].usual_shape[0]
            inputs = {name: each[start:end] for name, each in self.inputs.items()}
            outputs = {name: each[start:end] for name, each in self.outputs.items()}
            self.bindings.append(part.bind(inputs, outputs))
            start = end

    @property
    def output(self) -> Tensor:
        """The first output, which every run overwrites."""
        return next(iter(self.outputs.values()))

    def run(self) -> None:
        """Compute the outputs of all rows from what the inputs hold now."""
        for each in self.bindings:
            each.run()


class Step:
    """Everything of a tick that happens on the device; nothing in it looks at a value.

    pixels, drawn: uint8 [streams, H, W, 3]. x: [levels, streams, C, h, w], noisiest first.
    """

    def __init__(
        self,
        networks: Networks,
        compiled: Mapping[str, Sequence[CompiledModule]],
        *,
        case: Case,
        device: str,
    ) -> None:
        bound = {
            role: Bound(part, compiled[role], device=device, seed=seed)
            for seed, (role, part) in enumerate(networks.parts.items())
        }
        self.encoder, self.unet, self.decoder = (
            bound[role] for role in ("vae_encoder", "unet", "vae_decoder")
        )
        self.scale = networks.scale
        self.schedule = schedule_from(_SCHEDULE)
        chosen = levels(self.schedule, t_index_list(_STRENGTH, case.steps))
        self.pixels, self.drawn = self.encoder.inputs["pixels"], self.decoder.output
        self.latent = self.decoder.inputs["latent"]
        self.x = self.unet.inputs["x"].unflatten(0, (case.steps, case.streams))
        t = torch.tensor([each.t for each in chosen], dtype=torch.float32)
        self.unet.inputs["t"].copy_(t.repeat_interleave(case.streams))
        self.alpha, self.sigma = _scales(chosen, device)
        self.noise = self.x.clone()  # unit noise, too

    @torch.inference_mode()
    def run(self) -> None:
        """Draw what `pixels` holds now; the picture that is ready is in `drawn` afterwards."""
        alpha, sigma, x = self.alpha, self.sigma, self.x
        self.encoder.run()
        clean = self.encoder.output * self.scale
        x[0].copy_(renoised(clean, self.noise[0], alpha=alpha[0], sigma=sigma[0]))
        self.unet.run()
        answer = self.unet.output.view_as(x)
        clean = clean_from(self.schedule.prediction, answer, x=x, alpha=alpha, sigma=sigma)
        x[1:].copy_(renoised(clean[:-1], self.noise[1:], alpha=alpha[1:], sigma=sigma[1:]))
        self.latent.copy_(clean[-1] / self.scale)
        self.decoder.run()


def _filled(tensor: TensorSpec, generator: torch.Generator) -> Tensor:
    """Return a tensor of about the size of what comes there: unit noise, or levels of grey."""
    dtype = torch_dtype(tensor)
    if dtype == torch.uint8:
        return torch.randint(0, 256, tensor.usual_shape, generator=generator, dtype=dtype)
    return torch.randn(tensor.usual_shape, generator=generator).to(dtype)


def _empty(tensor: TensorSpec, device: str) -> Tensor:
    return torch.empty(tensor.usual_shape, dtype=torch_dtype(tensor), device=device)


def _scales(chosen: Sequence[Level], device: str) -> tuple[Tensor, Tensor]:
    """Return alpha and sigma of each level, [levels, 1, 1, 1, 1]."""
    numbers = torch.tensor([[each.alpha, each.sigma] for each in chosen], device=device)
    alpha, sigma = numbers.view(-1, 2, 1, 1, 1, 1).unbind(1)
    return alpha, sigma
