"""Side branches that learn a LoRA while the network beside them stays as it is.

A branch adds up(down(x)) to what its layer makes of x (Hu et al. 2021, LoRA, arXiv 2106.09685). It
starts with up at zero, so that nothing is changed by it, and its alpha is its rank: strength 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from streamgen.training.nets import initial_weights


class Branches(nn.Module):
    """The branches of all layers of a network that a LoRA can change: linear and convolutions.

    All of them: `tiny` draws strokes by convolutions at its finest level, which has no attention.
    """

    def __init__(self, network: nn.Module, *, rank: int, seed: int) -> None:
        super().__init__()
        self.rank = rank
        self.layers: dict[str, nn.Module] = {}
        self.beside = nn.ModuleDict()
        with initial_weights(seed):
            for name, layer in network.named_modules():
                if isinstance(layer, nn.Linear | nn.Conv2d):
                    self.layers[name] = layer
                    self.beside[_key(name)] = _branch(layer, rank)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Let the network answer with its branches."""
        with ExitStack() as stack:
            for name, layer in self.layers.items():
                hook = _Adding(self.beside[_key(name)])
                stack.callback(layer.register_forward_hook(hook).remove)
            yield

    def tensors(self, network: str) -> dict[str, Tensor]:
        """Return what a file holds, in fp16 and in the naming of PEFT.

        network: the prefix of the names, such as "unet".
        """
        found = {}
        for name in self.layers:
            down, up = self.beside[_key(name)].parameters()
            found[f"{network}.{name}.lora_A.weight"] = down.detach().half().contiguous().cpu()
            found[f"{network}.{name}.lora_B.weight"] = up.detach().half().contiguous().cpu()
            found[f"{network}.{name}.alpha"] = torch.tensor(float(self.rank))
        return found


class _Adding:
    """The hook of a layer: adds what its branch makes of the layer's input."""

    def __init__(self, branch: nn.Module) -> None:
        self.branch = branch

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        added: Tensor = self.branch(inputs[0])
        return output + added


def _key(layer: str) -> str:
    """Return the name of a branch, in which no dots may be."""
    return layer.replace(".", "/")


def _branch(layer: nn.Linear | nn.Conv2d, rank: int) -> nn.Sequential:
    down: nn.Module
    if isinstance(layer, nn.Linear):
        down = nn.Linear(layer.in_features, rank, bias=False)
        up: nn.Linear | nn.Conv2d = nn.Linear(rank, layer.out_features, bias=False)
    else:
        down = nn.Conv2d(
            layer.in_channels,
            rank,
            layer.kernel_size,  # type: ignore[arg-type]  # a pair, typed for any dimensions
            layer.stride,  # type: ignore[arg-type]  # the same
            layer.padding,  # type: ignore[arg-type]  # the same
            bias=False,
        )
        up = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
    nn.init.zeros_(up.weight)
    return nn.Sequential(down, up)
