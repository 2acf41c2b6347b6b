"""What the inductor backend does beside its contract. A build takes seconds: few, and shared."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines.backends.compilers import find_compiler
from engines.backends.inductor import InductorBackend
from engines.backends.inductor_files import WEIGHTS
from engines.errors import ArtifactError, BuildError, ShapeOutOfProfile, SpecMismatch
from engines.protocol import Artifact, BackendOptions
from engines.spec import EngineSpec, Range, TensorSpec
from engines.verify import compare, sample_inputs

SpecOf = Callable[[str], EngineSpec]


class Drawn(nn.Module):
    """As small as it can be and still have what is hard: a timestep, twins, unused weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.time = nn.Linear(4, 4)
        self.twin = self.time
        self.unused = nn.Linear(2, 2)
        self.register_buffer("rates", torch.tensor([1.0, 0.1, 0.01, 0.001]))
        self.last = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        dtype = self.first.weight.dtype
        waves = torch.cos(t[:, None].float() * self.rates.float()).to(dtype)
        shift = self.twin(torch.relu(self.time(waves)))[:, :, None, None]
        drawn: Tensor = self.last(self.norm(self.first(x.to(dtype))) + shift)
        return drawn


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    torch.manual_seed(0)
    return Drawn().eval()


def ranged_spec(precision: str) -> EngineSpec:
    height = Range(name="h", least=2, usual=4, most=8, step=2, times=4)
    width = Range(name="w", least=3, usual=4, most=8, times=4)
    shape = (1, 3, height, width)
    x, t = TensorSpec("x", shape, "float32"), TensorSpec("t", (1,), "float32")
    return EngineSpec("unet", (x, t), (TensorSpec("y", shape, "float32"),), precision)


@pytest.fixture(scope="module")
def inductor() -> InductorBackend:
    return InductorBackend(BackendOptions())


@pytest.fixture(scope="module")
def built(
    inductor: InductorBackend, drawn: Drawn, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    folder = tmp_path_factory.mktemp("built")
    inductor.build(ranged_spec("fp32"), drawn, folder)
    return Artifact(spec=ranged_spec("fp32"), folder=folder)


def test_probe_tells_what_it_cannot_do_and_never_raises(inductor: InductorBackend) -> None:
    assert inductor.probe("cpu").ok
    assert inductor.probe("mps").reason == "not for mps"
    assert not inductor.probe("no such device").ok


def test_a_compiler_is_the_one_that_cxx_names_or_none(tmp_path: Path) -> None:
    compiler = tmp_path / "my-c++"
    compiler.touch(mode=0o755)

    assert find_compiler({"CXX": "my-c++", "PATH": str(tmp_path)}) == str(compiler)
    assert find_compiler({"CXX": "other-c++", "PATH": str(tmp_path)}) is None
    assert find_compiler({"PATH": str(tmp_path)}) is None


def test_without_a_compiler_probe_and_build_say_what_to_install(tmp_path: Path) -> None:
    code = """
from pathlib import Path
import torch
from engines.backends.inductor import InductorBackend
from engines.errors import BuildError
from engines.protocol import BackendOptions
from engines.spec import EngineSpec, TensorSpec
found = InductorBackend(BackendOptions()).probe("cpu")
print(found.ok, found.reason, bool(found.hint))
x, y = TensorSpec("x", (1, 4), "float32"), TensorSpec("y", (1, 4), "float32")
spec = EngineSpec("unet", (x,), (y,), "fp32")
try:
    InductorBackend(BackendOptions()).build(spec, torch.nn.Linear(4, 4), Path())
except BuildError as error:
    print(str(error).startswith("unet: inductor cannot build: finds no C++ compiler: "))
"""
    environ = os.environ | {"CXX": "no-such-compiler", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
    )

    assert done.stdout == "False finds no C++ compiler True\nTrue\n"


def test_the_key_has_what_the_machine_code_depends_on(inductor: InductorBackend) -> None:
    facts = inductor.key_facts(ranged_spec("fp32"), device="cpu")

    assert facts.keys() == {"versions", "compiler", "cpu", "device", "exporter"}
    assert json.loads(json.dumps(facts)) == facts


@pytest.mark.parametrize("sizes", [{"h": 4, "w": 4}, {"h": 2, "w": 3}, {"h": 8, "w": 5}])
def test_one_build_is_right_at_every_size_of_its_range(
    inductor: InductorBackend, built: Artifact, drawn: Drawn, sizes: dict[str, int]
) -> None:
    compiled = inductor.load(built, device="cpu")
    inputs = sample_inputs(built.spec.at(sizes), seed=1)

    (output,) = compare(compiled, drawn, inputs=inputs).outputs

    assert output.max_abs < 1e-5


def test_a_size_outside_of_its_range_is_refused_before_it_runs(
    inductor: InductorBackend, built: Artifact
) -> None:
    compiled = inductor.load(built, device="cpu")

    with pytest.raises(ShapeOutOfProfile, match="h 3 is outside of the range"):
        compiled.bind({"x": torch.zeros(1, 3, 12, 16), "t": torch.zeros(1)})


def test_all_weights_can_be_exchanged_while_it_is_bound(
    inductor: InductorBackend, built: Artifact, drawn: Drawn
) -> None:
    compiled = inductor.load(built, device="cpu")
    inputs = sample_inputs(built.spec, seed=1)
    binding = compiled.bind(inputs)
    other = copy.deepcopy(drawn)
    with torch.no_grad():
        for weight in (*other.parameters(), *other.buffers()):
            weight.normal_()

    swapped = compiled.swap_weights(other.state_dict())
    binding.run()

    assert set(swapped.names) == set(drawn.state_dict())
    assert torch.allclose(binding.outputs["y"], other(*inputs.values()), atol=1e-4)

    compiled.swap_weights(drawn.state_dict())
    binding.run()
    assert torch.allclose(binding.outputs["y"], drawn(*inputs.values()), atol=1e-5)


def test_where_one_weight_does_not_fit_none_is_exchanged(
    inductor: InductorBackend, built: Artifact, drawn: Drawn
) -> None:
    compiled = inductor.load(built, device="cpu")
    good = {"first.weight": torch.ones(4, 3, 3, 3)}

    with pytest.raises(SpecMismatch, match=r"'time.bias' has shape \[5\]; required: \[4\]"):
        compiled.swap_weights({**good, "time.bias": torch.zeros(5)})
    with pytest.raises(SpecMismatch, match="no weight 'third.bias' to swap"):
        compiled.swap_weights({**good, "third.bias": torch.zeros(4)})

    (output,) = compare(compiled, drawn, inputs=sample_inputs(built.spec, seed=1)).outputs
    assert output.max_abs < 1e-5


def test_memory_counts_a_weight_of_two_names_once(
    inductor: InductorBackend, built: Artifact, drawn: Drawn
) -> None:
    held = (*drawn.parameters(), *drawn.buffers())

    memory = inductor.load(built, device="cpu").memory()

    assert memory.weight_bytes == sum(tensor.nbytes for tensor in held)


def test_what_is_loaded_leaves_nothing_unpacked(
    inductor: InductorBackend, built: Artifact, tmp_path: Path
) -> None:
    before = tempfile.tempdir
    tempfile.tempdir = str(tmp_path)
    try:
        compiled = inductor.load(built, device="cpu")
    finally:
        tempfile.tempdir = before
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    compiled.close()

    del compiled
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"precision": "bf16"}, "is for cpu in bf16; required: cpu in fp32"),
        ({"device": "cuda"}, "is for cuda in fp32; required: cpu in fp32"),
        ({"weights": 5}, "weights.json is no good"),
    ],
)
def test_an_artifact_of_another_kind_is_refused(
    inductor: InductorBackend,
    built: Artifact,
    tmp_path: Path,
    asked: dict[str, object],
    told: str,
) -> None:
    facts = json.loads((built.folder / WEIGHTS).read_text())
    (tmp_path / WEIGHTS).write_text(json.dumps({**facts, **asked}))

    with pytest.raises(ArtifactError, match=told):
        inductor.load(Artifact(spec=built.spec, folder=tmp_path), device="cpu")


def test_a_package_that_is_cut_off_is_refused(
    inductor: InductorBackend, built: Artifact, tmp_path: Path
) -> None:
    for path in built.folder.iterdir():
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(
            content[: len(content) // 2 if "pt2" in path.name else None]
        )

    with pytest.raises(ArtifactError, match="torch cannot load model.pt2"):
        inductor.load(Artifact(spec=built.spec, folder=tmp_path), device="cpu")


def test_a_program_in_bf16_is_as_exact_as_its_module_and_leaves_only_its_folder(
    inductor: InductorBackend, drawn: Drawn, tmp_path: Path
) -> None:
    """The program says float32 where the module says "dtype of my weights"; t stays exact."""
    spec = ranged_spec("bf16").at()
    inputs = sample_inputs(spec, seed=1) | {"t": torch.tensor([999.0])}
    folder, temporary = tmp_path / "built", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(drawn, tuple(inputs.values())).module()
    before, environ = tempfile.tempdir, dict(os.environ)
    tempfile.tempdir = str(temporary)
    try:
        inductor.build(spec, program, folder)
    finally:
        tempfile.tempdir = before

    compiled = inductor.load(Artifact(spec=spec, folder=folder), device="cpu")
    (output,) = compare(compiled, drawn, inputs=inputs).outputs

    assert compiled.computes_in == "bf16"
    assert output.snr_db > 40
    assert sorted(path.name for path in folder.iterdir()) == ["model.pt2", WEIGHTS]
    assert list(temporary.iterdir()) == []
    assert dict(os.environ) == environ
    assert {value.dtype for value in program.state_dict().values()} == {torch.float32}


def test_a_module_that_cannot_be_traced_is_a_build_error(
    inductor: InductorBackend, tmp_path: Path
) -> None:
    class Asks(nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return x if t.item() > 3 else -x

    with pytest.raises(BuildError, match="unet: "):
        inductor.build(ranged_spec("fp32"), Asks(), tmp_path)

    assert list(tmp_path.iterdir()) == []
