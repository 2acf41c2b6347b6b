from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engines.errors import ArtifactError, SpecMismatch, SwapUnsupported
from engines.protocol import Artifact
from engines.spec import EngineSpec, TensorSpec
from engines.swap import PLACES, KnownWeight, Place, WeightPlaces

PLACED = WeightPlaces(
    weights={
        "layer": KnownWeight(
            shape=[2, 3],
            places=(
                Place(constant="turned", shape=[3, 2], dtype="float16", is_turned=True),
                Place(constant="flat", shape=[1, 6]),
            ),
        ),
        "folded": KnownWeight(shape=[2], places=()),
    }
)


def artifact(folder: Path) -> Artifact:
    x, y = TensorSpec("x", (1,), "float32"), TensorSpec("y", (1,), "float32")
    return Artifact(spec=EngineSpec("unet", (x,), (y,), "fp32"), folder=folder)


def test_a_value_goes_to_all_its_places_as_each_has_it() -> None:
    value = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)

    placed = PLACED.put({"layer": value}, role="unet")

    assert placed.keys() == {"turned", "flat"}
    assert torch.equal(placed["turned"], value.t().half())
    assert torch.equal(placed["flat"], value.float().reshape(1, 6))
    assert all(each.is_contiguous() for each in placed.values())


def test_what_is_placed_has_memory_of_its_own() -> None:
    value = torch.ones(2, 3)
    placed = PLACED.put({"layer": value}, role="unet")

    value.zero_()

    assert torch.equal(placed["flat"], torch.ones(1, 6))


def test_names_and_shapes_are_looked_at_before_places() -> None:
    with pytest.raises(SpecMismatch, match="unet: no weight 'other' to swap"):
        PLACED.put({"folded": torch.zeros(2), "other": torch.zeros(1)}, role="unet")
    with pytest.raises(SpecMismatch, match=r"'layer' has shape \[3, 2\]; required: \[2, 3\]"):
        PLACED.put({"folded": torch.zeros(2), "layer": torch.zeros(3, 2)}, role="unet")
    with pytest.raises(SwapUnsupported, match="'folded' has no place .*: compile the changed"):
        PLACED.put({"layer": torch.zeros(2, 3), "folded": torch.zeros(2)}, role="unet")


def test_what_a_narrower_type_cannot_hold_is_refused() -> None:
    with pytest.raises(SpecMismatch, match="unet: weight 'layer' is beyond float16"):
        PLACED.put({"layer": torch.full((2, 3), 1e6)}, role="unet")


def test_places_are_read_as_they_were_written(tmp_path: Path) -> None:
    PLACED.write(tmp_path)

    assert WeightPlaces.read(artifact(tmp_path)) == PLACED


@pytest.mark.parametrize("damage", ["", "[]", '{"a": 1}', '{"a": {"shape": [1]}}'])
def test_a_file_that_is_no_good_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / PLACES).write_text(damage, encoding="utf-8")

    with pytest.raises(ArtifactError, match=r"unet: weight_places\.json is no good"):
        WeightPlaces.read(artifact(tmp_path))
