from __future__ import annotations

import copy
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines.backends.openvino import OpenVinoBackend
from engines.calibration import Calibration
from engines.errors import ArtifactError, EngineError, SwapUnsupported
from engines.protocol import Artifact, BackendOptions, CompiledModule
from engines.spec import EngineSpec, Range, TensorSpec
from engines.swap import PLACES
from engines.verify import compare, sample_inputs

HEIGHT = Range(name="h", least=2, usual=4, most=6)


class Told(nn.Module):
    """The sines of a timestep, as in a UNet, scale a picture; a table is made of a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.mixed = nn.Linear(8, 8)
        self.table = nn.Parameter(torch.rand(8))
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None] * torch.exp(torch.arange(4) * -0.3)
        told: Tensor = self.mixed(torch.cat([angles.sin(), angles.cos()], dim=1))
        drawn: Tensor = self.conv(x) * told[:, :, None, None]
        return drawn + (self.table.exp() * 2.0)[:, None, None]


def told_spec(precision: str, height: int | Range = 4) -> EngineSpec:
    x, t = TensorSpec("x", (1, 4, height, 4), "float32"), TensorSpec("t", (1,), "float32")
    return EngineSpec("unet", (x, t), (TensorSpec("y", (1, 8, height, 4), "float32"),), precision)


@pytest.fixture
def openvino() -> OpenVinoBackend:
    return OpenVinoBackend(BackendOptions(threads=1))


@pytest.fixture
def told() -> Told:
    torch.manual_seed(0)
    return Told().eval().requires_grad_(False)


def built(
    backend: OpenVinoBackend, spec: EngineSpec, module: nn.Module, folder: Path
) -> CompiledModule:
    backend.build(spec, module, folder)
    return backend.load(Artifact(spec=spec, folder=folder), device="cpu")


def values_of(module: Told) -> dict[str, Tensor]:
    return {"conv.weight": module.conv.weight * 1.5, "mixed.weight": module.mixed.weight + 0.2}


def changed(module: Told) -> nn.Module:
    made = copy.deepcopy(module)
    made.load_state_dict(values_of(module), strict=False)
    return made


def test_a_late_timestep_is_as_exact_as_an_early_one_after_a_swap(
    openvino: OpenVinoBackend, told: Told, tmp_path: Path
) -> None:
    """In bf16 a timestep of 999 would be 1000, and its sines wrong."""
    spec = told_spec(openvino.precisions("cpu")[0])
    compiled = built(openvino, spec, told, tmp_path)
    drawn = sample_inputs(spec, seed=2)

    compiled.swap_weights(values_of(told))

    snr_db = [
        compare(compiled, changed(told), inputs=drawn | {"t": torch.tensor([t])}).outputs[0].snr_db
        for t in (1.0, 999.0)
    ]
    assert snr_db[1] >= snr_db[0] - 3.0 and snr_db[0] > 30.0


def test_a_network_of_a_ranged_size_is_swapped_at_all_its_sizes(
    openvino: OpenVinoBackend, told: Told, tmp_path: Path
) -> None:
    spec = told_spec("fp32", HEIGHT)
    compiled = built(openvino, spec, told, tmp_path)

    compiled.swap_weights(values_of(told))

    for height in (2, 6, 4):
        inputs = sample_inputs(spec.at({"h": height}), seed=1)
        assert compare(compiled, changed(told), inputs=inputs).outputs[0].max_abs < 1e-4


@pytest.mark.parametrize("name", ["table", "unused.weight"])
def test_a_weight_that_is_no_constant_of_its_own_is_refused_by_name(
    openvino: OpenVinoBackend, told: Told, tmp_path: Path, name: str
) -> None:
    spec = told_spec("fp32")
    compiled = built(openvino, spec, told, tmp_path)
    weight = told.state_dict()[name]

    with pytest.raises(SwapUnsupported, match=f"unet: weight '{name}' has no place of its own"):
        compiled.swap_weights({**values_of(told), name: weight})

    inputs = sample_inputs(spec, seed=1)
    assert compare(compiled, told, inputs=inputs).outputs[0].max_abs < 1e-4


def test_what_is_computed_of_a_weight_like_another_is_right(
    openvino: OpenVinoBackend, told: Told, tmp_path: Path
) -> None:
    """A weight that is all ones is built as another, and has to be given back before."""
    told.table.fill_(1.0)
    spec = told_spec("fp32")

    compiled = built(openvino, spec, told, tmp_path)

    inputs = sample_inputs(spec, seed=1)
    assert compare(compiled, told, inputs=inputs).outputs[0].max_abs < 1e-4


def test_weights_are_swapped_although_the_files_are_gone(
    openvino: OpenVinoBackend, told: Told, tmp_path: Path
) -> None:
    spec, folder = told_spec("fp32"), tmp_path / "artifact"
    folder.mkdir()
    compiled = built(openvino, spec, told, folder)
    shutil.rmtree(folder)

    compiled.swap_weights(values_of(told))

    inputs = sample_inputs(spec, seed=1)
    assert compare(compiled, changed(told), inputs=inputs).outputs[0].max_abs < 1e-4


def test_a_closed_network_is_not_swapped(
    openvino: OpenVinoBackend, told: Told, tmp_path: Path
) -> None:
    compiled = built(openvino, told_spec("fp32"), told, tmp_path)
    compiled.close()

    with pytest.raises(EngineError, match="closed, compile it again"):
        compiled.swap_weights(values_of(told))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"conv.weight": {"shape": [8]}}'])
def test_an_artifact_without_the_places_of_its_weights_is_refused(
    openvino: OpenVinoBackend, told: Told, tmp_path: Path, damage: str
) -> None:
    spec = told_spec("fp32")
    openvino.build(spec, told, tmp_path)
    (tmp_path / PLACES).write_text(damage, encoding="utf-8")

    with pytest.raises(ArtifactError, match=r"unet: weight_places\.json is no good"):
        openvino.load(Artifact(spec=spec, folder=tmp_path), device="cpu")


def test_integers_are_not_swapped_and_the_way_out_is_said(
    openvino: OpenVinoBackend, tmp_path: Path
) -> None:
    pytest.importorskip("nncf", reason="nncf is not installed: pip install 'streamgen[int8]'")
    torch.manual_seed(0)
    module = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))).eval()
    x, y = (TensorSpec(name, (1, 8, 8, 8), "float32") for name in "xy")
    spec = EngineSpec("vae_encoder", (x,), (y,), "int8")
    samples = [sample_inputs(spec, seed=seed) for seed in range(2)]
    calibration = Calibration(samples=lambda: samples, fingerprint="two")
    openvino.build(spec, module, tmp_path, calibration=calibration)
    compiled = openvino.load(Artifact(spec=spec, folder=tmp_path), device="cpu")

    with pytest.raises(SwapUnsupported, match="integers in ranges .* bf16 or fp32"):
        compiled.swap_weights({"1.weight": torch.zeros(8, 8, 3, 3)})

    assert not (tmp_path / PLACES).exists()
