from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines.backends.openvino import OpenVinoBackend, shared_core
from engines.backends.openvino_ir import MODEL
from engines.protocol import Artifact, BackendOptions
from engines.spec import EngineSpec, Range, TensorSpec


@pytest.fixture
def openvino() -> OpenVinoBackend:
    return OpenVinoBackend(BackendOptions(threads=1))


def test_ranged_sides_have_their_bounds_in_the_file(
    openvino: OpenVinoBackend, tmp_path: Path
) -> None:
    side = Range(name="h", least=2, usual=4, most=6, times=8)
    spec = EngineSpec(
        "unet",
        (TensorSpec("x", (1, side, 4), "float32"), TensorSpec("t", (1,), "float32")),
        (TensorSpec("y", (1, side, 4), "float32"),),
        "fp32",
    )

    openvino.build(spec, Shifted(), tmp_path)

    model = shared_core().read_model(tmp_path / MODEL)
    shapes = {port.any_name: str(port.partial_shape) for port in (*model.inputs, *model.outputs)}
    assert shapes == {"x": "[1,16..48,4]", "t": "[1]", "y": "[1,16..48,4]"}


class Shifted(nn.Module):
    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return x + t.sin()[:, None, None]


def test_a_binding_of_a_ranged_size_uses_the_memory_of_its_tensors(
    openvino: OpenVinoBackend, tmp_path: Path
) -> None:
    side = Range(name="h", least=2, usual=4, most=6)
    x, y = (TensorSpec(name, (1, side), "float32") for name in "xy")
    spec = EngineSpec("unet", (x,), (y,), "fp32")
    openvino.build(spec, nn.Softmax(dim=1), tmp_path)
    compiled = openvino.load(Artifact(spec=spec, folder=tmp_path), device="cpu")

    binding = compiled.bind({"x": torch.zeros(1, 5)})
    binding.run()

    assert torch.allclose(binding.outputs["y"], torch.full((1, 5), 0.2))
    held = binding._request.get_tensor("y").data
    assert held.ctypes.data == binding.outputs["y"].data_ptr()
