from __future__ import annotations

import inspect as python
import os
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from engines.debugging import Case, inspect, write_case
from engines.debugging_runs import (
    ONNXRUNTIME,
    TENSORRT,
    Wrong,
    command_for,
    compare_runs,
    save_answers,
)
from engines.spec import EngineSpec, TensorSpec
from engines.verify import Limits

LIMITS = Limits(min_snr_db=40.0)


class Block(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(size, size, 3, padding=1)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.act(self.conv(x))


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Small(nn.Module):
    """Two blocks, between them what makes numbers `factor` times as large, and small again."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = Block(4), Block(4)
        self.up, self.down = Scale(factor), Scale(1 / factor)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.down(self.up(self.first(x))))


class Bits(nn.Module):
    """Does what TensorRT has no operation for."""

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(torch.int32) & 3).to(x.dtype)


def case_of(
    folder: Path,
    *,
    precision: str = "fp16",
    factor: float = 2.0,
    module: nn.Module | None = None,
) -> Case:
    side = (1, 4, 8, 8)
    spec = EngineSpec(
        role="unet",
        inputs=(TensorSpec("x", side, "float32"),),
        outputs=(TensorSpec("answer", side, "float32"),),
        precision=precision,
    )
    return write_case(spec, module or Small(factor), folder, layers=True)


def first_wrong(case: Case) -> Wrong | None:
    (comparison,) = compare_runs(case)
    return comparison.first_wrong(LIMITS, layers_db=LIMITS.min_snr_db)


def polygraphy(command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of polygraphy, as a shell would, with this Python."""
    first, *rest = shlex.split(command)
    assert first == "polygraphy"
    code = "import sys; from polygraphy.tools import main; sys.exit(main())"
    environ = {**os.environ, "POLYGRAPHY_AUTOINSTALL_DEPS": "0"}
    return subprocess.run(
        [sys.executable, "-c", code, *rest], env=environ, capture_output=True, text=True
    )


def spoil(path: Path, name: str, factor: float) -> None:
    """Multiply a weight of an ONNX file."""
    model = onnx.load(path)
    (weight,) = (each for each in model.graph.initializer if each.name == name)
    made = onnx.numpy_helper.to_array(weight) * factor
    weight.CopyFrom(onnx.numpy_helper.from_array(made.astype("float16"), name))
    onnx.save(model, path)


def test_every_layer_of_a_sound_network_is_as_in_torch(tmp_path: Path) -> None:
    case = case_of(tmp_path)

    (comparison,) = compare_runs(case)

    # `first` and its parts, and those of `second`, whose own value is the answer.
    names = [each.name for each in comparison.layers]
    assert {"first.conv", "first.act", "first", "up", "second.conv", "second.act"} <= set(names)
    assert names.index("first.conv") < names.index("first") < names.index("second.conv")
    assert [each.name for each in comparison.outputs] == ["answer"]
    assert comparison.first_wrong(LIMITS, layers_db=LIMITS.min_snr_db) is None
    assert case.faults == ()


def test_a_weight_that_is_another_one_is_found_by_its_layer(tmp_path: Path) -> None:
    case = case_of(tmp_path)
    spoil(case.graph.path, "network.second.conv.weight", 1.5)

    assert first_wrong(case) == Wrong(runner=ONNXRUNTIME, name="second.conv", least_db=40.0)


def test_numbers_that_halves_do_not_have_are_found_by_their_layer(tmp_path: Path) -> None:
    wrong = first_wrong(case_of(tmp_path, factor=1e6))

    assert wrong is not None
    assert wrong.name == "up"


def test_a_bf16_graph_is_run_in_fp32(tmp_path: Path) -> None:
    case = case_of(tmp_path, precision="bf16", factor=1e6)

    assert case.runnable.path == tmp_path / "fp32" / "model.onnx"
    assert "BFLOAT16" in inspect(case.graph.path).operators
    assert set(inspect(case.runnable.path).operators) == {"FLOAT"}
    assert first_wrong(case) is None


def test_what_the_lint_refuses_is_told_and_written_all_the_same(tmp_path: Path) -> None:
    case = case_of(tmp_path, module=Bits())

    assert any("TensorRT's parser lacks" in fault for fault in case.faults), case.faults
    assert case.graph.path.is_file()


def test_operators_are_counted_by_type(tmp_path: Path) -> None:
    found = inspect(case_of(tmp_path).graph.path)

    assert found.opset == 23
    assert found.operators["FLOAT16"]["Conv"] == 2
    assert found.nodes == sum(sum(each.values()) for each in found.operators.values())
    assert found.size_bytes == (tmp_path / "model.onnx").stat().st_size


@pytest.mark.slow
def test_polygraphys_own_command_sees_the_same_layer_fail(tmp_path: Path) -> None:
    case = case_of(tmp_path)
    save_answers(case)
    sound = Wrong(runner=ONNXRUNTIME, name="first.conv", least_db=40.0)
    kept = polygraphy(command_for(case, sound, least_db=40.0))
    spoil(case.graph.path, "network.second.conv.weight", 1.5)

    wrong = first_wrong(case)
    failed = polygraphy(command_for(case, wrong, least_db=40.0))

    assert kept.returncode == 0, kept.stdout + kept.stderr
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "FAILED" in failed.stdout


def test_what_tensorrt_does_wrong_is_cut_down_by_polygraphy(tmp_path: Path) -> None:
    case = case_of(tmp_path)
    wrong = Wrong(runner=TENSORRT, name="up", least_db=0.0)

    command = command_for(case, wrong, least_db=40.0)

    assert command.startswith(f"polygraphy debug reduce {tmp_path}/model.onnx -o ")
    assert "--trt --strongly-typed" in command
    assert "--onnxrt" in command


def test_polygraphy_has_the_calls_that_tensorrt_is_run_with() -> None:
    # The calls only: they have not met TensorRT.
    trt = import_module("polygraphy.backend.trt")
    named = {
        trt.network_from_onnx_path: ("path", "strongly_typed"),
        trt.modify_network_outputs: ("network", "outputs"),
        trt.engine_from_network: ("network", "config"),
        trt.TrtRunner: ("engine", "name"),
    }

    for call, names in named.items():
        assert set(names) <= set(python.signature(call).parameters)
    assert callable(import_module("polygraphy.backend.trt.util").get_all_tensors)
