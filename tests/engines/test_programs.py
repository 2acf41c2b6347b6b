from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from engines.calibration import Calibration
from engines.errors import BuildError, EngineError
from engines.programs import load_program, save_program
from engines.spec import EngineSpec, Range, TensorSpec
from engines.verify import sample_inputs

SpecOf = Callable[[str], EngineSpec]


class Odd(nn.Module):
    """Tied weights, a buffer that is not saved, a plain tensor, and sides that are ranges."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.second.weight = self.first.weight
        self.register_buffer("kept", torch.rand(1, 3, 1, 1))
        self.register_buffer("unsaved", torch.rand(1, 3, 1, 1), persistent=False)
        self.plain = torch.rand(1, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.kept, Tensor) and isinstance(self.unsaved, Tensor)
        drawn: Tensor = self.second(self.first(x) + self.kept * self.unsaved) - self.plain
        return drawn


def ranged_spec() -> EngineSpec:
    height = Range(name="h", least=4, usual=8, most=32, step=4)
    width = Range(name="w", least=2, usual=6, most=32)
    shape = (2, 3, height, width)
    tensors = [TensorSpec(name, shape, "float32") for name in ("x", "y")]
    return EngineSpec("unet", (tensors[0],), (tensors[1],), "fp32")


def answers(module: nn.Module, inputs: dict[str, Tensor]) -> list[Tensor]:
    with torch.inference_mode():
        made = module(*inputs.values())
    return list(made) if isinstance(made, tuple) else [made]


def test_what_is_loaded_computes_the_same_and_has_the_same_specification(
    tmp_path: Path, spec_of: SpecOf, repaint: nn.Module
) -> None:
    save_program(spec_of("bf16"), repaint, tmp_path)
    spec, module, calibration = load_program(tmp_path)

    assert (spec, calibration) == (spec_of("bf16"), None)
    inputs = sample_inputs(spec, seed=3)
    for ours, theirs in zip(answers(module, inputs), answers(repaint, inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_weights_keep_their_names(tmp_path: Path, spec_of: SpecOf, repaint: nn.Module) -> None:
    save_program(spec_of("fp32"), repaint, tmp_path)
    _, module, _ = load_program(tmp_path)

    before, after = dict(repaint.named_parameters()), dict(module.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("sizes", [{"h": 4, "w": 2}, {"h": 12, "w": 7}, {"h": 32, "w": 32}])
def test_ranges_tied_weights_and_constants_survive(tmp_path: Path, sizes: dict[str, int]) -> None:
    torch.manual_seed(0)
    odd = Odd()
    save_program(ranged_spec(), odd, tmp_path)
    spec, module, _ = load_program(tmp_path)

    inputs = sample_inputs(spec.at(sizes), seed=1)

    assert torch.equal(answers(module, inputs)[0], answers(odd, inputs)[0])


def test_samples_of_a_calibration_come_back_in_order(
    tmp_path: Path, spec_of: SpecOf, repaint: nn.Module
) -> None:
    spec = spec_of("fp32")
    given = [sample_inputs(spec, seed=seed) for seed in range(12)]
    save_program(spec, repaint, tmp_path, Calibration(samples=lambda: given, fingerprint="abc"))

    _, _, calibration = load_program(tmp_path)

    assert calibration is not None and calibration.fingerprint == "abc"
    found = calibration.samples()
    assert len(found) == 12
    for ours, theirs in zip(found, given, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_folder_holds_json_and_safetensors_and_nothing_else(
    tmp_path: Path, spec_of: SpecOf, repaint: nn.Module
) -> None:
    save_program(spec_of("fp32"), repaint, tmp_path)

    for path in tmp_path.iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        else:
            load_file(path)


UNPICKLING_ENDS_IT = """
import sys
from pathlib import Path
from engines.programs import load_program

def watch(event, arguments):
    if event == "pickle.find_class":
        raise SystemExit(f"unpickled {arguments}")

sys.addaudithook(watch)
load_program(Path(sys.argv[1]))
"""


def test_nothing_is_unpickled(tmp_path: Path, spec_of: SpecOf, repaint: nn.Module) -> None:
    save_program(spec_of("fp32"), repaint, tmp_path)

    command = [sys.executable, "-c", UNPICKLING_ENDS_IT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("damaged", ["spec.json", "graph.json", "parameters.safetensors"])
def test_a_folder_that_holds_something_else_is_named(
    tmp_path: Path, spec_of: SpecOf, repaint: nn.Module, damaged: str
) -> None:
    save_program(spec_of("fp32"), repaint, tmp_path)
    (tmp_path / damaged).write_bytes(b"{}")

    with pytest.raises(EngineError, match=f"{tmp_path.name}' holds no program"):
        load_program(tmp_path)


class Undecided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x - 1


def test_a_module_that_cannot_be_exported_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="unet: torch cannot export the module"):
        save_program(ranged_spec(), Undecided(), tmp_path)
