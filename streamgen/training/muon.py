"""Muon: momentum whose matrix updates are orthogonalised, beside AdamW for everything else.

Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks". Convolutions count as
matrices [out, in * kh * kw]. Measured on the autoencoder, same 75 s on two cores: 22.9 dB against
20.2 dB for AdamW. Matrices of one shape are orthogonalised together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
#: Coefficients of the quintic Newton-Schulz iteration.
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


def orthogonalised(matrices: Tensor) -> Tensor:
    """Return the nearest roughly orthogonal matrices; [B, m, n] of any float dtype."""
    a, b, c = QUINTIC
    x = (matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    rounded: Tensor = x.mT if tall else x
    return rounded.to(matrices.dtype)


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Say whether Muon suits a parameter: matrices, but no embeddings and no image ends."""
    return parameter.ndim in (2, 4) and min(parameter.shape[:2]) > 3 and "embedding." not in name


class Muon:
    """Both optimisers as one; its state is a flat dict of named tensors."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], *, rate: float) -> None:
        """rate: of Muon; AdamW runs at a twentieth of it."""
        parameters = dict(named)
        self.rate = rate
        self.matrices = {n: p for n, p in parameters.items() if is_hidden_matrix(n, p)}
        self.vectors = {n: p for n, p in parameters.items() if n not in self.matrices}
        self.momentum = {n: torch.zeros_like(p) for n, p in self.matrices.items()}
        self.adam = torch.optim.AdamW(
            self.vectors.values(), lr=rate / 20, betas=(0.9, 0.98), weight_decay=0.0
        )

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Descend once at `factor` times the peak rate."""
        for group in self.adam.param_groups:
            group["lr"] = factor * self.rate / 20
        self.adam.step()
        by_shape: dict[tuple[int, int], list[str]] = defaultdict(list)
        for name, parameter in self.matrices.items():
            if parameter.grad is not None:
                by_shape[parameter.shape[0], parameter[0].numel()].append(name)
        for shape, names in by_shape.items():
            self._step_shape(shape, names, factor * self.rate)

    def _step_shape(self, shape: tuple[int, int], names: list[str], rate: float) -> None:
        updates = []
        for name in names:
            gradient = self.matrices[name].grad
            assert gradient is not None, "only shapes with gradients come here"
            momentum = self.momentum[name].mul_(MOMENTUM).add_(gradient)
            updates.append(gradient.add(momentum, alpha=MOMENTUM).reshape(shape))
        scale = max(1.0, shape[0] / shape[1]) ** 0.5
        for name, update in zip(names, orthogonalised(torch.stack(updates)), strict=True):
            parameter = self.matrices[name]
            parameter.mul_(1 - 0.01 * rate)
            parameter.add_(update.reshape(parameter.shape), alpha=-rate * scale)

    def zero_grad(self) -> None:
        for parameter in (*self.matrices.values(), *self.vectors.values()):
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """Return the optimiser's memory as named tensors."""
        tensors = {f"momentum.{name}": tensor for name, tensor in self.momentum.items()}
        for name, parameter in self.vectors.items():
            for key in ("exp_avg", "exp_avg_sq", "step"):
                tensors[f"{key}.{name}"] = self.adam.state[parameter][key]
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `state` returned."""
        for name, momentum in self.momentum.items():
            momentum.copy_(tensors[f"momentum.{name}"])
        for name, parameter in self.vectors.items():
            keys = ("exp_avg", "exp_avg_sq", "step")
            self.adam.state[parameter] = {key: tensors[f"{key}.{name}"].clone() for key in keys}
