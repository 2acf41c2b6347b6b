from __future__ import annotations

import logging
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines.backends.openvino import OpenVinoBackend, shared_core
from engines.backends.openvino_ir import MODEL
from engines.errors import ArtifactError, BuildError
from engines.protocol import Artifact, BackendOptions
from engines.spec import EngineSpec, TensorSpec

SpecOf = Callable[[str], EngineSpec]


@pytest.fixture
def openvino() -> OpenVinoBackend:
    return OpenVinoBackend(BackendOptions(threads=1))


def test_probe_tells_the_versions(openvino: OpenVinoBackend) -> None:
    found = openvino.probe("cpu")

    assert found.ok and found.versions.keys() == {"torch", "openvino"}


def test_probe_refuses_another_device_with_a_hint(openvino: OpenVinoBackend) -> None:
    found = openvino.probe("cuda")

    assert not found.ok
    assert (found.reason, found.hint) == (
        "runs on cpu, not on cuda",
        "use --device cpu, or --backend torch",
    )


def test_auto_is_bf16_exactly_where_the_cpu_has_it(openvino: OpenVinoBackend) -> None:
    able = shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    assert openvino.precisions("cpu")[0] == ("bf16" if "BF16" in able else "fp32")
    assert "fp32" in openvino.precisions("cpu")


def test_signals_are_handled_after_backends_have_come_and_gone() -> None:
    code = """
import gc, signal
from engines.backends.openvino import OpenVinoBackend
from engines.protocol import BackendOptions
signal.signal(signal.SIGINT, lambda *_: print("handled"))
first, second = (OpenVinoBackend(BackendOptions(threads=1)) for _ in range(2))
first.probe("cpu"), second.probe("cpu")
del first
gc.collect()
del second
gc.collect()
signal.raise_signal(signal.SIGINT)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_no_word_is_sent_to_the_vendor(tmp_path: Path) -> None:
    """A consent file or a client id in the home would be the trace of a report."""
    code = """
import sys, torch
from pathlib import Path
from engines.backends.openvino import OpenVinoBackend
from engines.protocol import Artifact, BackendOptions
from engines.spec import EngineSpec, TensorSpec
x, y = TensorSpec("x", (1, 4), "float32"), TensorSpec("y", (1, 4), "float32")
spec = EngineSpec("unet", (x,), (y,), "fp32")
backend, folder = OpenVinoBackend(BackendOptions()), Path(sys.argv[1])
assert backend.probe("cpu").ok
backend.build(spec, torch.nn.Linear(4, 4), folder)
backend.load(Artifact(spec=spec, folder=folder), device="cpu").bind({"x": torch.ones(1, 4)}).run()
print([name for name in sys.modules if name.startswith("openvino_telemetry")])
"""
    home, out = tmp_path / "home", tmp_path / "out"
    home.mkdir()
    out.mkdir()
    named = {"HOME": str(home), "LOCALAPPDATA": str(home)}
    environ = {name: value for name, value in os.environ.items() if name != "CI"} | named

    done = subprocess.run(
        [sys.executable, "-c", code, str(out)],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    )

    assert done.stdout.strip() == "[]"
    assert not (home / "intel").exists() and not (home / "Intel Corporation").exists()


def test_the_network_reads_and_writes_the_memory_of_the_bound_tensors(
    openvino: OpenVinoBackend, spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    spec = spec_of("fp32")
    openvino.build(spec, repaint, tmp_path)
    compiled = openvino.load(Artifact(spec=spec, folder=tmp_path), device="cpu")
    inputs = {
        "pixels": torch.zeros(1, 16, 16, 3, dtype=torch.uint8),
        "t": torch.zeros(1),
        "tokens": torch.zeros(1, 4, dtype=torch.int64),
    }

    binding = compiled.bind(inputs)
    binding.run()

    for name, tensor in (*inputs.items(), *binding.outputs.items()):
        assert binding._request.get_tensor(name).data.ctypes.data == tensor.data_ptr()


def test_what_is_built_has_fp32_weights_and_the_names_of_the_specification(
    openvino: OpenVinoBackend, spec_of: SpecOf, repaint: nn.Module, tmp_path: Path
) -> None:
    openvino.build(spec_of("fp32"), repaint, tmp_path)

    text = (tmp_path / MODEL).read_text(encoding="utf-8")

    assert all(f'names="{name}"' in text for name in ("pixels", "t", "tokens", "redrawn"))
    assert 'element_type="f16"' not in text
    names = ["model.bin", "model.xml", "weight_places.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def one_to_one(dtype: str) -> EngineSpec:
    tensors = TensorSpec("x", (1, 4), dtype), TensorSpec("y", (1, 4), dtype)
    return EngineSpec("unet", tensors[:1], tensors[1:], "fp32")


def test_an_artifact_of_another_network_is_refused(
    openvino: OpenVinoBackend, spec_of: SpecOf, tmp_path: Path
) -> None:
    openvino.build(one_to_one("float32"), nn.Linear(4, 4), tmp_path)

    with pytest.raises(ArtifactError, match=r"model\.xml has no tensors \['pixels', 't'"):
        openvino.load(Artifact(spec=spec_of("fp32"), folder=tmp_path), device="cpu")


def test_a_file_that_is_no_network_is_refused(openvino: OpenVinoBackend, tmp_path: Path) -> None:
    (tmp_path / "model.xml").write_text("<net>", encoding="utf-8")
    (tmp_path / "model.bin").write_bytes(b"")

    with pytest.raises(ArtifactError, match="openvino cannot load model.xml"):
        openvino.load(Artifact(spec=one_to_one("float32"), folder=tmp_path), device="cpu")


def test_a_dtype_that_openvino_cannot_bind_is_refused(
    openvino: OpenVinoBackend, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match=r"x \[1, 4\] bfloat16: openvino takes bool, uint8"):
        openvino.build(one_to_one("bfloat16"), nn.Identity(), tmp_path)


def test_a_disk_without_room_is_an_error_of_the_disk(openvino: OpenVinoBackend) -> None:
    with pytest.raises(OSError, match="openvino cannot write"):
        openvino.build(one_to_one("float32"), nn.Linear(4, 4), Path("/dev/null"))


def test_a_scaled_group_norm_runs_in_every_precision(tmp_path: Path) -> None:
    """OpenVINO may end the whole process over it: another one is asked."""
    code = """
import sys, torch
from pathlib import Path
from torch import nn
from engines.backends.openvino import OpenVinoBackend
from engines.protocol import Artifact, BackendOptions
from engines.spec import EngineSpec, TensorSpec
from engines.verify import compare, sample_inputs

class Modulated(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(16, 160)
        self.first, self.second = (nn.Conv2d(160, 160, 3, padding=1) for _ in range(2))
        self.told = nn.Linear(8, 320)

    def forward(self, x, told):
        scale, shift = self.told(told)[:, :, None, None].chunk(2, dim=1)
        return self.second(nn.functional.silu(self.norm(self.first(x)) * (1 + scale) + shift))

torch.manual_seed(0)
backend, module = OpenVinoBackend(BackendOptions(threads=1)), Modulated().eval()
x, y = (TensorSpec(name, (1, 160, 4, 4), "float32") for name in "xy")
for precision in backend.precisions("cpu"):
    spec = EngineSpec("unet", (x, TensorSpec("told", (1, 8), "float32")), (y,), precision)
    folder = Path(sys.argv[1]) / precision
    folder.mkdir()
    backend.build(spec, module, folder)
    compiled = backend.load(Artifact(spec=spec, folder=folder), device="cpu")
    report = compare(compiled, module, inputs=sample_inputs(spec, seed=0))
    assert report.outputs[0].snr_db > (100 if precision == "fp32" else 25), (precision, report)
"""

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-2000:]


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("cannot be run at all")


def test_a_module_that_cannot_be_traced_is_refused_with_its_reason(
    openvino: OpenVinoBackend, tmp_path: Path
) -> None:
    root = logging.getLogger()
    before = root.level, tuple(root.filters)

    with pytest.raises(BuildError, match=r"(?s)cannot convert the module: .*cannot be run at all"):
        openvino.build(one_to_one("float32"), Fails(), tmp_path)

    assert (root.level, tuple(root.filters)) == before  # OpenVINO would leave them changed


class Picks(nn.Module):
    """A row of a table, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))

    def forward(self, row: Tensor, table: Tensor) -> Tensor:
        return table.index_select(0, row) @ self.weight


def test_of_an_input_that_is_picked_from_only_what_is_picked_is_converted(tmp_path: Path) -> None:
    table, row = TensorSpec("table", (64, 4), "float32"), TensorSpec("row", (1,), "int64")
    spec = EngineSpec("unet", (row, table), (TensorSpec("y", (1, 4), "float32"),), "bf16")
    OpenVinoBackend(BackendOptions(threads=1)).build(spec, Picks(), tmp_path)

    layers = ET.parse(tmp_path / MODEL).getroot().iterfind("layers/layer")
    exact = [
        layer.get("type")
        for layer in layers
        if layer.find("rt_info/attribute[@name='DisablePrecisionConversion']") is not None
    ]
    assert exact == ["Gather"]
