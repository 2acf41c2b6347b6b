"""Fits a LoRA to the networks of a model: whole, or refused; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from streamgen.errors import ModelError
from streamgen.lora.names import Network, flat, spellings
from streamgen.lora.read import Factors, Lora

Networks = Mapping[Network, nn.Module]
#: A weight: of which network, and its name there.
WeightName = tuple[Network, str]
_TITLES: Mapping[Network, str] = {
    "unet": "UNet",
    "text_encoder": "text encoder",
    "text_encoder_2": "second text encoder",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedLora:
    """A LoRA by the weights that it changes; its factors are matrices [rank, n] and [m, rank]."""

    name: str
    digest: str
    factors: Mapping[WeightName, Factors]


def fitted(lora: Lora, networks: Networks) -> FittedLora:
    """Return a LoRA by the weights of these networks, given on any device, even on "meta".

    Raises ModelError for one that is for another model: by a layer that the networks do not have,
    or that has another shape.
    """
    layers = {network: _layers(module) for network, module in networks.items()}
    names = {network: spellings(network, found) for network, found in layers.items()}
    factors: dict[WeightName, Factors] = {}
    for (network, layer), each in lora.layers.items():
        if network not in networks:
            raise _refusal(
                lora, f"it has a layer {layer!r} of a {_TITLES[network]}, and this has none"
            )
        name = names[network].get(flat(layer))
        if name is None:
            raise _refusal(lora, f"it has a layer {layer!r} that the {_TITLES[network]} has not")
        found, wanted = _matrices(each), layers[network][name]
        if _shape(each, wanted) != wanted.shape:
            raise _refusal(
                lora,
                f"its layer {layer!r} is for {list(_shape(each, wanted))},"
                f" this {_TITLES[network]} has {list(wanted.shape)}",
            )
        if (network, f"{name}.weight") in factors:
            raise ModelError(f"LoRA {lora.name!r}: it has the layer {name!r} under two names")
        factors[network, f"{name}.weight"] = found
    return FittedLora(name=lora.name, digest=lora.digest, factors=factors)


def weights_of(networks: Networks) -> dict[WeightName, Tensor]:
    """Return all weights of the networks themselves; one that has several names under each."""
    return {
        (network, name): weight
        for network, module in networks.items()
        for name, weight in module.named_parameters(remove_duplicate=False)
    }


def _layers(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights that a LoRA can change, by the names of their layers."""
    kinds = (nn.Linear, nn.Conv2d)
    return {name: part.weight for name, part in module.named_modules() if isinstance(part, kinds)}


def _shape(factors: Factors, wanted: Tensor) -> tuple[int, ...]:
    """Return what shape of a weight they are for; a 1x1 convolution is a linear layer, too."""
    shape = (factors.up.shape[0], *factors.down.shape[1:])
    if set(shape[2:]) <= {1} and set(wanted.shape[2:]) <= {1}:
        return (*shape[:2], *wanted.shape[2:])
    return shape


def _matrices(factors: Factors) -> Factors:
    return replace(factors, down=factors.down.flatten(1), up=factors.up.flatten(1))


def _refusal(lora: Lora, reason: str) -> ModelError:
    return ModelError(
        f"LoRA {lora.name!r} is for another model: {reason}: choose one made for this model's"
        " architecture"
    )
