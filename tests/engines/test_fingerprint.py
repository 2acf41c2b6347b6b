from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines.fingerprint import Fingerprints, structure_hash, tensors_hash, weights_hash


class Scaled(nn.Module):
    table: Tensor

    def __init__(self, scale: float = 1.0, activation: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 4)
        self.activation = activation or nn.ReLU()
        self.scale = scale
        self.register_buffer("table", torch.zeros(2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.linear(x)) * self.scale
        return y


def test_equal_networks_have_equal_hashes() -> None:
    assert weights_hash(Scaled()) == weights_hash(Scaled())
    assert structure_hash(Scaled()) == structure_hash(Scaled())


def test_the_order_of_tensors_does_not_count_but_names_shapes_and_types_do() -> None:
    a, b = torch.zeros(4), torch.ones(4)

    both = tensors_hash([("a", a), ("b", b)])

    assert both == tensors_hash([("b", b), ("a", a)])
    assert both != tensors_hash([("a", b), ("b", a)])
    assert both != tensors_hash([("a", a.reshape(2, 2)), ("b", b)])
    assert both != tensors_hash([("a", a.to(torch.bfloat16)), ("b", b)])


def test_one_changed_weight_changes_the_weights_hash() -> None:
    changed = Scaled()
    with torch.no_grad():
        changed.linear.bias[0] += 1e-3

    assert weights_hash(changed) != weights_hash(Scaled())


def test_a_buffer_that_is_not_saved_counts_as_a_weight() -> None:
    changed = Scaled()
    changed.table[0] = 1.0

    assert weights_hash(changed) != weights_hash(Scaled())


def test_a_constant_that_tracing_bakes_in_changes_the_structure_hash() -> None:
    assert structure_hash(Scaled(scale=2.0)) != structure_hash(Scaled())


def test_another_layer_without_weights_changes_the_structure_hash() -> None:
    changed = Scaled(activation=nn.GELU())

    assert weights_hash(changed) == weights_hash(Scaled())
    assert structure_hash(changed) != structure_hash(Scaled())


def test_the_file_of_a_function_that_a_layer_imports_changes_the_structure_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "layered"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "rounding.py").write_text("def rounded(x):\n    return x.round()\n")
    (package / "layer.py").write_text(
        "from torch import nn\n\nfrom layered.rounding import rounded\n\n\n"
        "class Layer(nn.Module):\n    def forward(self, x):\n        return rounded(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module("layered.layer").Layer()
    before = structure_hash(module)

    (package / "rounding.py").write_text("def rounded(x):\n    return x.floor()\n")

    assert structure_hash(module) != before


def test_training_mode_does_not_change_the_structure_hash() -> None:
    assert structure_hash(Scaled().eval()) == structure_hash(Scaled().train())


def test_a_known_hash_is_that_of_the_weights_and_follows_every_change() -> None:
    known, module = Fingerprints(), Scaled()
    first = known.weights(module)

    assert known.weights(module) == first == weights_hash(module)
    with torch.no_grad():
        module.linear.bias.add_(1.0)
    second = known.weights(module)
    assert second == weights_hash(module) != first
    module.linear.weight = nn.Parameter(torch.zeros(4, 4))
    assert known.weights(module) == weights_hash(module) != second


def test_weights_that_did_not_change_are_not_read_again() -> None:
    known, module = Fingerprints(), Scaled()
    first = known.weights(module)
    module.linear.bias.data.add_(1.0)  # torch does not count a change made this way

    assert known.weights(module) == first != weights_hash(module)
