from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from engines.backends.onnxruntime import OnnxRuntimeBackend
from engines.errors import ArtifactError, BuildError
from engines.export import MODEL
from engines.protocol import Artifact, BackendOptions, CompiledModule
from engines.spec import EngineSpec, Range, TensorSpec
from engines.verify import compare, sample_inputs

SpecOf = Callable[[str], EngineSpec]


@pytest.fixture
def backend() -> OnnxRuntimeBackend:
    return OnnxRuntimeBackend(BackendOptions(threads=1))


def built(
    backend: OnnxRuntimeBackend, spec: EngineSpec, module: nn.Module, folder: Path
) -> CompiledModule:
    backend.build(spec, module, folder)
    return backend.load(Artifact(spec=spec, folder=folder), device="cpu")


def one_to_one(dtype: str = "float32") -> EngineSpec:
    tensors = TensorSpec("x", (1, 4), dtype), TensorSpec("y", (1, 4), dtype)
    return EngineSpec("unet", tensors[:1], tensors[1:], "fp32")


def test_probe_tells_the_versions(backend: OnnxRuntimeBackend) -> None:
    found = backend.probe("cpu")

    assert found.ok
    assert found.versions.keys() == {"torch", "onnxruntime", "onnx", "onnxscript"}


def test_probe_refuses_other_devices_with_a_hint(backend: OnnxRuntimeBackend) -> None:
    found = backend.probe("mps")

    assert not found.ok
    assert found.reason == "runs on cpu and cuda, not on mps"
    assert found.hint == "use --device cpu, or --backend torch"


@pytest.mark.parametrize(
    ("missing", "device", "reason", "hint"),
    [
        ("onnxruntime onnx onnxscript", "cpu", "onnxruntime, onnx, onnxscript", ""),
        ("onnxscript", "cpu", "onnxscript", ""),
        ("onnxruntime onnx", "cuda", "onnxruntime, onnx", "onnxruntime-gpu onnx"),
    ],
)
def test_probe_names_what_is_missing_and_the_line_that_mends_it(
    missing: str, device: str, reason: str, hint: str
) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys({missing!r}.split()))
from engines.backends.onnxruntime import OnnxRuntimeBackend
from engines.protocol import BackendOptions
found = OnnxRuntimeBackend(BackendOptions()).probe({device!r})
print(found.ok, found.reason, found.hint, sep="|")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    line = f"pip install {hint or missing}"
    assert done.stdout.strip() == f"False|{reason} not installed|{line}"


def test_probe_says_what_keeps_it_from_a_gpu(backend: OnnxRuntimeBackend) -> None:
    has_gpu = torch.cuda.is_available()

    found = backend.probe("cuda")

    assert not found.ok  # what the tests are run with is onnxruntime's build for CPUs
    without = "this onnxruntime was built without CUDA"
    assert found.reason == (without if has_gpu else "torch finds no CUDA device")


def test_precisions_are_those_with_kernels(backend: OnnxRuntimeBackend) -> None:
    assert backend.precisions("cpu") == ("fp32",)
    assert backend.precisions("cuda:1") == ("fp16", "fp32")


def test_runs_write_into_the_bound_tensors_and_allocate_none(
    backend: OnnxRuntimeBackend, spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    spec = spec_of("fp32")
    inputs = sample_inputs(spec, seed=1)
    binding = built(backend, spec, repaint, tmp_path).bind(inputs)

    binding.run()

    latents = binding.outputs["latents"]
    tied = dict(zip(binding.outputs, binding._tied.get_outputs(), strict=True))
    assert tied["latents"].data_ptr() == latents.data_ptr()
    assert latents.abs().max() > 0


class Told(nn.Module):
    """The sines of a timestep, as in a UNet, scaled by a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.mixed = nn.Linear(8, 8)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None] * torch.exp(torch.arange(4) * -0.3)
        told: Tensor = self.mixed(torch.cat([angles.sin(), angles.cos()], dim=1))
        drawn: Tensor = self.conv(x) * told[:, :, None, None]
        return nn.functional.interpolate(drawn, scale_factor=2.0, mode="nearest")


def told_spec(precision: str) -> EngineSpec:
    sides = [Range(name="h", least=2, usual=4, most=6, times=times) for times in (1, 2)]
    x, t = TensorSpec("x", (1, 4, sides[0], 4), "float32"), TensorSpec("t", (1,), "float32")
    y = TensorSpec("y", (1, 8, sides[1], 8), "float32")
    return EngineSpec("unet", (x, t), (y,), precision)


def test_fp16_is_computed_in_halves_but_for_the_timestep(
    backend: OnnxRuntimeBackend, tmp_path: Path
) -> None:
    """Its use is on a GPU; ONNX Runtime's CPU rounds to halves around each operation."""
    torch.manual_seed(0)
    spec, module = told_spec("fp16"), Told().eval()

    compiled = built(backend, spec, module, tmp_path)

    assert compiled.computes_in == "fp16"
    for height, t in ((4, 999.0), (3, 733.5), (6, 1.0)):
        inputs = sample_inputs(spec.at({"h": height}), seed=1) | {"t": torch.tensor([t])}
        (output,) = compare(compiled, module, inputs=inputs).outputs
        assert output.snr_db > 55.0
        assert output.max_abs > 1e-5


def test_fp16_keeps_its_weights_as_halves_and_its_ports_as_they_were(
    backend: OnnxRuntimeBackend, spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    backend.build(spec_of("fp16"), repaint, tmp_path)

    graph = onnx.load(tmp_path / MODEL).graph

    kinds = {each.name: each.data_type for each in graph.initializer}
    assert {kinds[name] for name in ("down.weight", "up.weight")} == {onnx.TensorProto.FLOAT16}
    (latents,) = (value for value in graph.output if value.name == "latents")
    assert latents.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_the_precision_is_read_from_the_file_not_from_the_specification(
    backend: OnnxRuntimeBackend, tmp_path: Path
) -> None:
    backend.build(one_to_one(), nn.Linear(4, 4), tmp_path)
    asked = replace(one_to_one(), precision="fp16")

    loaded = backend.load(Artifact(spec=asked, folder=tmp_path), device="cpu")

    assert loaded.computes_in == "fp32"


def test_an_artifact_of_another_network_is_refused(
    backend: OnnxRuntimeBackend, spec_of: SpecOf, tmp_path: Path
) -> None:
    backend.build(one_to_one(), nn.Linear(4, 4), tmp_path)

    with pytest.raises(ArtifactError, match=r"model\.onnx has nothing \[\]; required: pixels"):
        backend.load(Artifact(spec=spec_of("fp32"), folder=tmp_path), device="cpu")
    for other in (
        one_to_one("float16"),
        replace(one_to_one(), inputs=(TensorSpec("x", (2, 4), "float32"),)),
    ):
        with pytest.raises(ArtifactError, match=r"has tensor\(float\) \[1, 4\]; required: x \["):
            backend.load(Artifact(spec=other, folder=tmp_path), device="cpu")


def test_a_file_that_is_no_network_is_refused(backend: OnnxRuntimeBackend, tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"no network")

    with pytest.raises(ArtifactError, match=r"onnxruntime cannot load model\.onnx"):
        backend.load(Artifact(spec=one_to_one(), folder=tmp_path), device="cpu")


def test_a_disk_without_room_is_an_error_of_the_disk(backend: OnnxRuntimeBackend) -> None:
    with pytest.raises(OSError, match="/dev/null"):
        backend.build(one_to_one(), nn.Linear(4, 4), Path("/dev/null"))


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


def test_attention_that_the_exporter_lacks_is_refused_with_its_reason(
    backend: OnnxRuntimeBackend, tmp_path: Path
) -> None:
    x, y = (TensorSpec(name, (1, 4, 8), "float32") for name in "xy")

    with pytest.raises(BuildError, match="only 4D query, key, and value are supported"):
        backend.build(EngineSpec("unet", (x,), (y,), "fp32"), Flat(), tmp_path)
