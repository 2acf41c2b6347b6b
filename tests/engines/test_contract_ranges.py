"""What every backend promises of networks whose sides are ranges, or that lie on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines.errors import ShapeOutOfProfile, SpecMismatch
from engines.programs import load_program, save_program
from engines.protocol import Artifact, ArtifactBackend, CompiledModule
from engines.spec import EngineSpec, Range, TensorSpec
from engines.verify import compare, sample_inputs

Compile = Callable[[EngineSpec, nn.Module], CompiledModule]

LATENT_SIDES = (
    Range(name="h", least=2, usual=4, most=6),
    Range(name="w", least=2, usual=4, most=6, step=2),
)
SIDES = (
    Range(name="h", least=2, usual=4, most=6, times=8),
    Range(name="w", least=2, usual=4, most=6, step=2, times=8),
)


class Shrink(nn.Module):
    """uint8 pixels and a timestep in; latents of an eighth, and the pixels drawn from them, out."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 8, stride=8)
        self.norm = nn.GroupNorm(2, 4)
        self.up = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, pixels: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        planes = pixels.permute(0, 3, 1, 2).to(self.down.weight.dtype) / 127.5 - 1.0
        latents = self.norm(self.down(planes)) + torch.sin(t)[:, None, None, None].to(planes.dtype)
        # As diffusers' attention does it: the sides of the picture become one, and two again.
        batch, channels, height, width = latents.shape
        tokens = latents.reshape(batch, 1, channels, height * width).transpose(2, 3)
        mixed = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        mixed = mixed.transpose(2, 3).reshape(batch, channels, height, width)
        drawn = self.up(nn.functional.interpolate(mixed, scale_factor=8.0, mode="nearest"))
        levels = ((drawn + 1.0) * 127.5).round().clamp(0.0, 255.0)
        return latents, levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def shrink_spec(precision: str = "fp32") -> EngineSpec:
    return EngineSpec(
        role="vae_encoder",
        inputs=(TensorSpec("pixels", (1, *SIDES, 3), "uint8"), TensorSpec("t", (1,), "float32")),
        outputs=(
            TensorSpec("latents", (1, 4, *LATENT_SIDES), "float32"),
            TensorSpec("redrawn", (1, *SIDES, 3), "uint8"),
        ),
        precision=precision,
    )


@pytest.fixture
def shrink() -> Shrink:
    torch.manual_seed(0)
    return Shrink().eval()


def assert_exact(compiled: CompiledModule, module: nn.Module, sizes: dict[str, int]) -> None:
    inputs = sample_inputs(shrink_spec().at(sizes), seed=3) | {"t": torch.tensor([999.0])}
    latents, redrawn = compare(compiled, module, inputs=inputs).outputs
    assert latents.max_abs < 1e-4
    assert redrawn.max_abs <= 1


def test_one_network_is_exact_at_two_sizes_and_back(compiled_by: Compile, shrink: Shrink) -> None:
    compiled = compiled_by(shrink_spec(), shrink)

    for height, width in ((4, 4), (3, 6), (2, 2), (4, 4)):
        assert_exact(compiled, shrink, {"h": height, "w": width})


def test_bindings_of_two_sizes_run_in_turns(compiled_by: Compile, shrink: Shrink) -> None:
    compiled = compiled_by(shrink_spec(), shrink)
    inputs = [sample_inputs(shrink_spec().at({"h": side}), seed=side) for side in (3, 5)]
    bindings = [compiled.bind(each) for each in inputs]

    for binding in (*bindings, *bindings):
        binding.run()

    for binding, given in zip(bindings, inputs, strict=True):
        with torch.inference_mode():
            latents, redrawn = shrink(given["pixels"], given["t"])
        assert torch.allclose(binding.outputs["latents"], latents, atol=1e-4)
        assert binding.outputs["redrawn"].shape == redrawn.shape


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((1, 56, 32, 3), ShapeOutOfProfile, r"h 7 is outside of the range it was built for"),
        ((1, 32, 24, 3), ShapeOutOfProfile, r"w 3 is outside of the range .*w=2\.\.6 by 2"),
        ((1, 30, 32, 3), SpecMismatch, r"'pixels' has shape \[1, 30, 32, 3\]"),
        ((2, 32, 32, 3), SpecMismatch, r"'pixels' has shape \[2, 32, 32, 3\]"),
    ],
)
def test_another_size_is_refused_before_it_runs(
    compiled_by: Compile,
    shrink: Shrink,
    shape: tuple[int, ...],
    error: type[SpecMismatch],
    message: str,
) -> None:
    compiled = compiled_by(shrink_spec(), shrink)
    pixels = torch.zeros(shape, dtype=torch.uint8)

    with pytest.raises(error, match=message):
        compiled.bind({"pixels": pixels, "t": torch.zeros(1)})


def test_outputs_of_another_size_than_the_inputs_are_refused(
    compiled_by: Compile, shrink: Shrink
) -> None:
    spec = shrink_spec()
    wrong = {"latents": torch.zeros(1, 4, 4, 4)}
    wrong["redrawn"] = torch.zeros(1, 24, 32, 3, dtype=torch.uint8)

    with pytest.raises(SpecMismatch, match=r"'latents' .*\[1, 4, 4, 4\].*required: \[1, 4, 3, 4\]"):
        compiled_by(spec, shrink).bind(sample_inputs(spec.at({"h": 3}), seed=1), wrong)


def test_a_program_from_disk_is_built_as_exactly_as_its_module(
    artifact_backend: ArtifactBackend, shrink: Shrink, tmp_path: Path
) -> None:
    backend = artifact_backend
    for precision in backend.precisions("cpu"):
        artifact, program = tmp_path / precision, tmp_path / f"{precision}.program"
        artifact.mkdir()
        program.mkdir()
        save_program(shrink_spec(precision), shrink, program)
        spec, module, _ = load_program(program)

        backend.build(spec, module, artifact)

        compiled = backend.load(Artifact(spec=spec, folder=artifact), device="cpu")
        assert compiled.computes_in == precision
        for sizes in ({"h": 4, "w": 4}, {"h": 3, "w": 6}):
            if precision == "fp32":
                assert_exact(compiled, shrink, sizes)
            else:
                inputs = sample_inputs(spec.at(sizes), seed=3) | {"t": torch.tensor([999.0])}
                report = compare(compiled, shrink, inputs=inputs)
                assert min(output.snr_db for output in report.outputs) > 30.0
