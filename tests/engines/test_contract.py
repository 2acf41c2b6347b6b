"""What every backend promises, asked of each in turn; a new backend joins in conftest.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from engines.errors import EngineError, SpecMismatch
from engines.protocol import CompiledModule, EngineBackend
from engines.spec import PRECISIONS, QUANTISED, EngineSpec, TensorSpec
from engines.verify import compare, sample_inputs

Compile = Callable[[EngineSpec, nn.Module], CompiledModule]
SpecOf = Callable[[str], EngineSpec]


def test_fp32_equals_the_reference_to_1e_4(
    compiled_by: Compile, spec_of: SpecOf, repaint: nn.Module
) -> None:
    spec = spec_of("fp32")
    report = compare(compiled_by(spec, repaint), repaint, inputs=sample_inputs(spec, seed=1))

    by_name = {output.name: output for output in report.outputs}
    assert by_name["latents"].max_abs < 1e-4
    assert by_name["redrawn"].max_abs <= 1
    assert by_name["next_tokens"].max_abs == 0


class Levels(nn.Module):
    def forward(self, pixels: Tensor, shift: Tensor) -> Tensor:
        moved = pixels.float() + shift
        return moved.round().clamp(0.0, 255.0).to(torch.uint8)


@pytest.mark.parametrize("shift", [0.0, 0.49, 0.5, 0.51, -0.5, 1.5, -300.0, 300.0])
def test_levels_are_rounded_and_clamped_like_torch(compiled_by: Compile, shift: float) -> None:
    spec = EngineSpec(
        role="vae_encoder",
        inputs=(TensorSpec("pixels", (1, 16, 16, 1), "uint8"), TensorSpec("shift", (), "float32")),
        outputs=(TensorSpec("moved", (1, 16, 16, 1), "uint8"),),
        precision="fp32",
    )
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1)
    inputs = {"pixels": pixels, "shift": torch.tensor(shift)}

    binding = compiled_by(spec, Levels()).bind(inputs)
    binding.run()

    expected = Levels()(pixels, inputs["shift"])
    assert torch.equal(binding.outputs["moved"], expected)


def test_inputs_are_read_and_outputs_written_in_place_at_each_run(
    compiled_by: Compile, spec_of: SpecOf, repaint: nn.Module
) -> None:
    spec = spec_of("fp32")
    inputs = sample_inputs(spec, seed=4)
    outputs = {"latents": torch.zeros(1, 8, 16, 16)}
    outputs["redrawn"] = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    outputs["next_tokens"] = torch.zeros(1, 4, dtype=torch.int64)
    addresses = {name: tensor.data_ptr() for name, tensor in outputs.items()}
    binding = compiled_by(spec, repaint).bind(inputs, outputs)

    for seed in (5, 6, 7):
        for name, value in sample_inputs(spec, seed=seed).items():
            inputs[name].copy_(value)
        binding.run()

        with torch.inference_mode():
            redrawn, latents, next_tokens = repaint(*inputs.values())
        assert torch.allclose(outputs["latents"], latents, atol=1e-4)
        assert (outputs["redrawn"].int() - redrawn.int()).abs().max() <= 1
        assert torch.equal(outputs["next_tokens"], next_tokens)
    assert addresses == {name: t.data_ptr() for name, t in binding.outputs.items()}


def test_two_bindings_do_not_share_tensors(
    compiled_by: Compile, spec_of: SpecOf, repaint: nn.Module
) -> None:
    spec = spec_of("fp32")
    compiled = compiled_by(spec, repaint)
    one = compiled.bind(sample_inputs(spec, seed=1))
    two = compiled.bind(sample_inputs(spec, seed=2))
    one.run()
    before = one.outputs["latents"].clone()

    two.run()

    assert torch.equal(one.outputs["latents"], before)
    assert not torch.equal(two.outputs["latents"], before)


def test_the_same_inputs_give_the_same_bits(
    compiled_by: Compile, spec_of: SpecOf, repaint: nn.Module
) -> None:
    spec = spec_of("fp32")
    binding = compiled_by(spec, repaint).bind(sample_inputs(spec, seed=1))
    binding.run()
    first = binding.outputs["latents"].clone()

    binding.run()

    assert torch.equal(binding.outputs["latents"], first)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        (
            "pixels",
            torch.zeros(1, 8, 8, 3, dtype=torch.uint8),
            r"'pixels' has shape \[1, 8, 8, 3\]",
        ),
        ("pixels", torch.zeros(1, 16, 16, 3), r"'pixels' is float32; required: uint8"),
        ("t", torch.zeros(1, device="meta"), r"'t' is on meta; required: cpu"),
        (
            "tokens",
            torch.zeros(1, 8, dtype=torch.int64)[:, ::2],
            r"'tokens' has strides \(8, 2\); required: contiguous",
        ),
    ],
)
def test_an_input_that_does_not_fit_is_refused(
    compiled_by: Compile,
    spec_of: SpecOf,
    repaint: nn.Module,
    name: str,
    wrong: Tensor,
    message: str,
) -> None:
    spec = spec_of("fp32")
    inputs = sample_inputs(spec, seed=1) | {name: wrong}

    with pytest.raises(SpecMismatch, match=message):
        compiled_by(spec, repaint).bind(inputs)


def test_missing_and_unknown_names_are_refused(
    compiled_by: Compile, spec_of: SpecOf, repaint: nn.Module
) -> None:
    spec = spec_of("fp32")
    compiled = compiled_by(spec, repaint)
    inputs = sample_inputs(spec, seed=1)

    with pytest.raises(SpecMismatch, match=r"inputs missing \['tokens'\], unknown \['text'\]"):
        compiled.bind({"pixels": inputs["pixels"], "t": inputs["t"], "text": inputs["tokens"]})
    with pytest.raises(SpecMismatch, match=r"outputs missing \['latents', 'redrawn'\]"):
        compiled.bind(inputs, {"next_tokens": torch.zeros(1, 4, dtype=torch.int64)})


def test_a_module_that_returns_another_dtype_is_refused(compiled_by: Compile) -> None:
    spec = EngineSpec(
        role="vae_encoder",
        inputs=(TensorSpec("pixels", (1, 4), "float32"),),
        outputs=(TensorSpec("latents", (1, 4), "uint8"),),
        precision="fp32",
    )

    with pytest.raises(EngineError, match=r"vae_encoder: .*latents"):
        compiled_by(spec, nn.Identity()).bind({"pixels": torch.zeros(1, 4)}).run()


def test_a_module_that_returns_too_few_tensors_is_refused(
    compiled_by: Compile, spec_of: SpecOf
) -> None:
    class OnlyPixels(nn.Module):
        def forward(self, pixels: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
            return pixels + 1

    spec = spec_of("fp32")

    with pytest.raises(EngineError, match="next_tokens"):
        compiled_by(spec, OnlyPixels()).bind(sample_inputs(spec, seed=1)).run()


def test_compiling_leaves_the_module_as_it_was(
    compiled_by: Compile, spec_of: SpecOf, repaint: nn.Module
) -> None:
    before = {name: value.clone() for name, value in repaint.state_dict().items()}

    compiled_by(spec_of("fp32"), repaint)

    after = repaint.state_dict()
    assert {value.dtype for value in after.values()} == {torch.float32}
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_memory_counts_the_weights(
    compiled_by: Compile, spec_of: SpecOf, repaint: nn.Module
) -> None:
    weights = sum(4 * parameter.numel() for parameter in repaint.parameters())

    assert compiled_by(spec_of("fp32"), repaint).memory().weight_bytes >= weights


def test_a_closed_network_cannot_be_bound(
    compiled_by: Compile, spec_of: SpecOf, repaint: nn.Module
) -> None:
    spec = spec_of("fp32")
    compiled = compiled_by(spec, repaint)
    compiled.close()

    with pytest.raises(EngineError, match="closed, compile it again"):
        compiled.bind(sample_inputs(spec, seed=1))


def test_precisions_the_cpu_lacks_are_refused(
    compiled_by: Compile, backend: EngineBackend, spec_of: SpecOf, repaint: nn.Module
) -> None:
    for precision in set(PRECISIONS) - set(QUANTISED) - set(backend.precisions("cpu")):
        with pytest.raises(EngineError, match=rf"{backend.name} on cpu can do .*fp32"):
            compiled_by(spec_of(precision), repaint)


class Picked(nn.Module):
    """A row of slabs of each kind, and the row as it was kept."""

    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Linear(4, 4)

    def forward(self, slot: Tensor, halves: Tensor, steps: Tensor) -> tuple[Tensor, ...]:
        rows = [slab.index_select(0, slot) for slab in (halves, steps)]
        made = self.mixed(rows[0].to(self.mixed.weight.dtype) + rows[1] / 16)
        return made, made.to(torch.float16), (made * 50).round().clamp(-127, 127).to(torch.int8)


def test_slabs_are_read_and_rows_given_in_the_types_that_they_are_kept_in(
    compiled_by: Compile,
) -> None:
    spec = EngineSpec(
        role="unet_motion",
        inputs=(
            TensorSpec("slot", (2,), "int64"),
            TensorSpec("halves", (3, 4), "float16", keeps_dtype=True),
            TensorSpec("steps", (3, 4), "int8", keeps_dtype=True),
        ),
        outputs=(
            TensorSpec("made", (2, 4), "float32"),
            TensorSpec("new_halves", (2, 4), "float16"),
            TensorSpec("new_steps", (2, 4), "int8"),
        ),
        precision="fp32",
    )
    torch.manual_seed(0)
    module = Picked().eval()
    inputs = sample_inputs(spec, seed=1) | {"slot": torch.tensor([2, 0])}

    report = compare(compiled_by(spec, module), module, inputs=inputs)

    made, halves, steps = report.outputs
    assert made.max_abs < 1e-4 and halves.max_abs < 1e-2 and steps.max_abs <= 1


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_half_goes_in_and_comes_out_as_it_is_or_is_refused(
    compiled_by: Compile, dtype: str
) -> None:
    spec = EngineSpec(
        role="vae_encoder",
        inputs=(TensorSpec("x", (1, 4), dtype),),
        outputs=(TensorSpec("y", (1, 3), dtype),),
        precision="fp32",
    )
    torch.manual_seed(0)
    module, inputs = nn.Linear(4, 3), sample_inputs(spec, seed=1)
    try:
        binding = compiled_by(spec, module).bind(inputs)
    except EngineError:
        return

    binding.run()

    with torch.inference_mode():
        expected = module(inputs["x"].float())
    assert str(binding.outputs["y"].dtype) == f"torch.{dtype}"
    assert torch.allclose(binding.outputs["y"].float(), expected, rtol=1e-2, atol=1e-3)
