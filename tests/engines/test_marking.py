from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.export import exported
from engines.marking import find, located, marked, weights_of
from engines.spec import EngineSpec, TensorSpec


class Alike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.other = nn.Linear(4, 4), nn.LayerNorm(4), nn.LayerNorm(4)
        self.again = self.layer
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.twin = nn.Linear(4, 4)
        self.twin.load_state_dict(self.layer.state_dict())
        self.register_buffer("counted", torch.zeros(3, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.again(self.other(self.twin(self.norm(self.layer(x))))) * self.gain
        return mixed


def test_weights_that_could_be_mistaken_are_others_and_the_rest_is_shared() -> None:
    module = Alike()

    stand_in, own = marked(module)

    kept, made = weights_of(module), weights_of(stand_in)
    norms = {f"{name}.{part}" for name in ("norm", "other") for part in ("weight", "bias")}
    twins = {f"{name}.{part}" for name in ("layer", "again", "twin") for part in ("weight", "bias")}
    assert own.keys() == norms | twins | {"gain"}
    assert all(torch.equal(kept[name], value) for name, value in own.items())
    assert made["counted"] is kept["counted"]
    assert made["layer.weight"] is made["again.weight"]
    assert not torch.equal(made["layer.weight"], made["twin.weight"])
    assert len({tuple(made[name].tolist()) for name in norms}) == len(norms)
    assert torch.equal(module.norm.weight, torch.ones(4))


def test_a_module_whose_weights_differ_is_built_as_it_is() -> None:
    module = nn.Linear(4, 4)

    stand_in, own = marked(module)

    assert stand_in is module and not own


def test_marks_are_the_same_at_each_build() -> None:
    module = Alike()

    one, two = (weights_of(marked(module)[0]) for _ in range(2))

    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_module_of_a_program_is_marked_too() -> None:
    x, y = TensorSpec("x", (1, 4), "float32"), TensorSpec("y", (1, 4), "float32")
    module = exported(EngineSpec("unet", (x,), (y,), "fp32"), Alike()).module()

    stand_in, own = marked(module)

    assert {"norm.weight", "other.bias", "gain"} <= own.keys()
    assert not torch.equal(stand_in(torch.ones(1, 4))[0], module(torch.ones(1, 4))[0])


def test_weights_are_found_in_other_shapes_turned_and_several_times() -> None:
    torch.manual_seed(0)
    weights = {"bias": torch.randn(4), "layer": torch.randn(4, 6), "gone": torch.randn(4, 6)}
    constants = {
        "a": weights["bias"].reshape(1, 4, 1, 1),
        "b": weights["layer"].t().contiguous(),
        "c": weights["layer"].clone(),
        "d": torch.randn(4, 6),
    }

    found = find(weights | {"count": torch.zeros(1, dtype=torch.int64)}, constants)

    assert found == {
        "bias": [("a", False)],
        "layer": [("c", False), ("b", True)],
        "gone": [],
        "count": [],
    }


def test_what_swallows_a_mark_is_built_with_the_weight_itself() -> None:
    module = Alike()
    built: list[nn.Module] = []

    def build(stand_in: nn.Module) -> dict[str, Tensor]:
        """Something that makes one number of the gain and a bias, and keeps the others."""
        built.append(stand_in)
        kept = {name: each.detach().clone() for name, each in weights_of(stand_in).items()}
        product = kept.pop("gain") * kept.pop("norm.bias")
        return {name: each for name, each in kept.items() if "again" not in name} | {"p": product}

    found = located(module, build)

    assert len(built) == 2
    assert torch.equal(weights_of(built[1])["norm.bias"], module.norm.bias)
    folded = [name for name, weight in found.places.weights.items() if not weight.places]
    assert set(folded) == {"gain", "norm.bias", "counted"}
    missing = found.missing()
    assert torch.equal(missing["norm.weight"], module.norm.weight)
    assert torch.equal(missing["twin.weight"], module.twin.weight)
