from __future__ import annotations

import copy
import shutil
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from engines.backends.onnxruntime import OnnxRuntimeBackend
from engines.errors import ArtifactError, EngineError, SpecMismatch, SwapUnsupported
from engines.export import MODEL
from engines.protocol import Artifact, BackendOptions, CompiledModule
from engines.spec import EngineSpec, TensorSpec
from engines.swap import PLACES
from engines.verify import compare, sample_inputs


class Told(nn.Module):
    """The sines of a timestep scale a picture; one weight is used exactly, and in halves."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.frequencies = nn.Parameter(torch.exp(torch.arange(8) * -0.3))
        self.mixed = nn.Linear(8, 8)
        self.table = nn.Parameter(torch.ones(8))
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        told: Tensor = self.mixed((t[:, None] * self.frequencies).sin())
        drawn: Tensor = self.conv(x) * told[:, :, None, None]
        shifted = drawn + self.frequencies[:, None, None]
        return shifted + (self.table.exp() * 2.0)[:, None, None]


def told_spec(precision: str) -> EngineSpec:
    x, t = TensorSpec("x", (1, 4, 4, 4), "float32"), TensorSpec("t", (1,), "float32")
    return EngineSpec("unet", (x, t), (TensorSpec("y", (1, 8, 4, 4), "float32"),), precision)


@pytest.fixture
def backend() -> OnnxRuntimeBackend:
    return OnnxRuntimeBackend(BackendOptions(threads=1))


@pytest.fixture
def told() -> Told:
    torch.manual_seed(0)
    return Told().eval().requires_grad_(False)


def built(
    backend: OnnxRuntimeBackend, spec: EngineSpec, module: nn.Module, folder: Path
) -> CompiledModule:
    folder.mkdir(exist_ok=True)
    backend.build(spec, module, folder)
    return backend.load(Artifact(spec=spec, folder=folder), device="cpu")


def values_of(module: Told) -> dict[str, Tensor]:
    return {
        "conv.weight": module.conv.weight * 1.5,
        "conv.bias": module.conv.bias + 1.0,
        "mixed.weight": module.mixed.weight + 0.2,
        "frequencies": module.frequencies * 0.7,
    }


def changed(module: Told) -> nn.Module:
    made = copy.deepcopy(module)
    made.load_state_dict(values_of(module), strict=False)
    return made


def drawn_by(compiled: CompiledModule) -> Tensor:
    inputs = sample_inputs(compiled.spec, seed=2) | {"t": torch.tensor([999.0])}
    binding = compiled.bind(inputs)
    binding.run()
    return binding.outputs["y"].clone()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_swapped_network_equals_one_that_was_built_of_the_changed_module(
    backend: OnnxRuntimeBackend, told: Told, tmp_path: Path, precision: str
) -> None:
    spec = told_spec(precision)
    compiled = built(backend, spec, told, tmp_path / "one")
    afresh = built(backend, spec, changed(told), tmp_path / "two")
    base = drawn_by(compiled)

    compiled.swap_weights(values_of(told))

    assert torch.equal(drawn_by(compiled), drawn_by(afresh))
    kept = told.state_dict()
    compiled.swap_weights({name: kept[name] for name in values_of(told)})
    assert torch.equal(drawn_by(compiled), base)


def test_of_a_network_in_halves_what_is_exact_stays_exact(
    backend: OnnxRuntimeBackend, told: Told, tmp_path: Path
) -> None:
    compiled = built(backend, told_spec("fp16"), told, tmp_path)

    compiled.swap_weights(values_of(told))

    inputs = sample_inputs(compiled.spec, seed=1) | {"t": torch.tensor([999.0])}
    assert compare(compiled, changed(told), inputs=inputs).outputs[0].snr_db > 55.0


def test_values_that_halves_cannot_hold_are_refused(
    backend: OnnxRuntimeBackend, told: Told, tmp_path: Path
) -> None:
    compiled = built(backend, told_spec("fp16"), told, tmp_path)
    base = drawn_by(compiled)

    with pytest.raises(SpecMismatch, match=r"unet: weight 'conv.weight' is beyond float16"):
        compiled.swap_weights({**values_of(told), "conv.weight": told.conv.weight * 1e6})

    assert torch.equal(drawn_by(compiled), base)


def test_what_is_computed_of_a_weight_is_computed_anew(
    backend: OnnxRuntimeBackend, told: Told, tmp_path: Path
) -> None:
    compiled = built(backend, told_spec("fp32"), told, tmp_path)
    made = copy.deepcopy(told)
    made.table.fill_(0.5)

    compiled.swap_weights({"table": made.table})

    inputs = sample_inputs(compiled.spec, seed=1)
    assert compare(compiled, made, inputs=inputs).outputs[0].max_abs < 1e-4


def test_a_weight_that_is_not_used_is_refused_by_name(
    backend: OnnxRuntimeBackend, told: Told, tmp_path: Path
) -> None:
    compiled = built(backend, told_spec("fp32"), told, tmp_path)

    with pytest.raises(SwapUnsupported, match="weight 'unused.bias' has no place of its own"):
        compiled.swap_weights({"unused.bias": torch.zeros(2)})


def test_weights_lie_beside_the_file_where_others_can_be_put_for_them(
    backend: OnnxRuntimeBackend, told: Told, tmp_path: Path
) -> None:
    backend.build(told_spec("fp32"), told, tmp_path)

    graph = onnx.load(tmp_path / MODEL, load_external_data=False).graph

    outside = {each.name for each in graph.initializer if each.data_location == 1}
    assert outside >= {"conv.weight", "conv.bias", "mixed.bias"}
    assert (tmp_path / f"{MODEL}.data").exists()


def test_where_the_files_are_gone_nothing_changes(
    backend: OnnxRuntimeBackend, told: Told, tmp_path: Path
) -> None:
    compiled = built(backend, told_spec("fp32"), told, tmp_path / "artifact")
    base = drawn_by(compiled)
    shutil.rmtree(tmp_path / "artifact")

    with pytest.raises(ArtifactError, match=r"onnxruntime cannot load model\.onnx"):
        compiled.swap_weights(values_of(told))

    assert torch.equal(drawn_by(compiled), base)


def test_a_closed_network_is_not_swapped(
    backend: OnnxRuntimeBackend, told: Told, tmp_path: Path
) -> None:
    compiled = built(backend, told_spec("fp32"), told, tmp_path)
    compiled.close()

    with pytest.raises(EngineError, match="closed, compile it again"):
        compiled.swap_weights(values_of(told))


def test_an_artifact_without_the_places_of_its_weights_is_refused(
    backend: OnnxRuntimeBackend, told: Told, tmp_path: Path
) -> None:
    backend.build(told_spec("fp32"), told, tmp_path)
    (tmp_path / PLACES).unlink()

    with pytest.raises(ArtifactError, match=r"unet: weight_places\.json is no good"):
        backend.load(Artifact(spec=told_spec("fp32"), folder=tmp_path), device="cpu")
