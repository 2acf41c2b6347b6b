from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from engines.backends.torch import TorchBackend, TorchBinding, TorchModule
from engines.errors import EngineError
from engines.protocol import BackendOptions
from engines.spec import EngineSpec, TensorSpec
from engines.verify import Limits, OutputReport, Report, compare, sample_inputs, snr_db

SPEC = EngineSpec(
    role="unet",
    inputs=(TensorSpec("sample", (1, 64), "float32"),),
    outputs=(TensorSpec("drawn", (1, 64), "float32"),),
    precision="fp32",
)


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, sample: Tensor) -> Tensor:
        return sample * self.factor


def report_of(factor: float) -> Report:
    """Compare a network that multiplies by `factor` with one that multiplies by 1."""
    backend = TorchBackend(BackendOptions())
    compiled = backend.adopt(SPEC, Times(factor), device="cpu")
    return compare(compiled, Times(1.0), inputs=sample_inputs(SPEC, seed=0))


def test_snr_of_a_tenth_of_the_signal_is_20_db() -> None:
    reference = torch.tensor([1.0, -1.0])

    assert snr_db(reference * 1.1, reference) == pytest.approx(20.0, abs=1e-4)


def test_snr_is_bounded_for_no_error_and_for_no_signal() -> None:
    one, zero = torch.ones(2), torch.zeros(2)

    assert snr_db(one, one) == 999.0
    assert snr_db(one, zero) == -999.0


def test_equal_networks_pass() -> None:
    report = report_of(1.0)

    report.require(Limits(min_snr_db=60.0, max_abs=0.0))
    assert report.outputs[0].max_abs == 0.0


def test_a_low_snr_is_an_error_naming_output_and_limit() -> None:
    with pytest.raises(EngineError, match=r"unet: output 'drawn' is 20\.0 dB .* required: 30 dB"):
        report_of(1.1).require(Limits(min_snr_db=30.0))


def test_a_large_difference_is_an_error_naming_output_and_limit() -> None:
    with pytest.raises(EngineError, match=r"'drawn' differs by .* required: at most 0\.01"):
        report_of(1.1).require(Limits(min_snr_db=10.0, max_abs=0.01))


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_nan_and_infinity_are_errors(factor: float) -> None:
    with pytest.raises(EngineError, match="'drawn' has NaN or infinity"):
        report_of(factor).require(Limits(min_snr_db=-1000.0))


class Halves(TorchModule):
    """Gives its outputs in half of the precision that its specification names."""

    def bind(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor] | None = None
    ) -> TorchBinding:
        binding = super().bind(inputs, outputs)
        binding.outputs = {name: made.half() for name, made in binding.outputs.items()}
        return binding


def test_an_output_of_another_dtype_is_an_error() -> None:
    compiled = Halves(SPEC, Times(1.0), device=torch.device("cpu"))

    with pytest.raises(EngineError, match=r"'drawn' is torch\.float16; required: float32"):
        compare(compiled, Times(1.0), inputs=sample_inputs(SPEC, seed=0))


def test_report_is_plain_data() -> None:
    assert report_of(1.0).to_dict() == {
        "role": "unet",
        "outputs": ({"name": "drawn", "max_abs": 0.0, "snr_db": 999.0, "is_finite": True},),
    }


def test_sampled_inputs_fit_the_specification_and_repeat_with_the_seed() -> None:
    spec = EngineSpec(
        role="unet",
        inputs=(
            TensorSpec("sample", (2, 3), "float32"),
            TensorSpec("pixels", (64, 64), "uint8"),
            TensorSpec("tokens", (64,), "int64"),
            TensorSpec("mask", (64,), "bool"),
        ),
        outputs=SPEC.outputs,
        precision="fp32",
    )

    drawn = sample_inputs(spec, seed=1)

    assert {name: tuple(value.shape) for name, value in drawn.items()} == {
        tensor.name: tensor.shape for tensor in spec.inputs
    }
    assert (int(drawn["pixels"].min()), int(drawn["pixels"].max())) == (0, 255)
    assert int(drawn["tokens"].min()) >= 0 and int(drawn["tokens"].max()) < 16
    again, other = sample_inputs(spec, seed=1), sample_inputs(spec, seed=2)
    assert torch.equal(drawn["sample"], again["sample"])
    assert not torch.equal(drawn["sample"], other["sample"])


def test_steps_on_the_way_to_an_answer_may_have_a_limit_of_their_own() -> None:
    def told(answer_db: float, inner_db: float) -> Report:
        found = {"answer": answer_db, "inner": inner_db}
        outputs = [
            OutputReport(name=name, max_abs=0.0, snr_db=db, is_finite=True)
            for name, db in found.items()
        ]
        return Report(role="unet", outputs=tuple(outputs))

    limits = Limits(min_snr_db=20.0, inner_snr_db=5.0)
    told(21.0, 6.0).require(limits)
    with pytest.raises(EngineError, match="'inner' is 4.0 dB .* required: 5 dB"):
        told(21.0, 4.0).require(limits)
    with pytest.raises(EngineError, match="'answer' is 19.0 dB .* required: 20 dB"):
        told(19.0, 6.0).require(limits)
    with pytest.raises(EngineError, match="'inner' is 6.0 dB .* required: 20 dB"):
        told(21.0, 6.0).require(Limits(min_snr_db=20.0))


def test_samples_have_all_levels_of_uint8_and_few_of_int8() -> None:
    signed, unsigned = (TensorSpec(name, (64, 64), name) for name in ("int8", "uint8"))
    spec = EngineSpec("unet", (signed, unsigned), (TensorSpec("y", (1,), "float32"),), "fp32")

    drawn = sample_inputs(spec, seed=0)

    assert [int(drawn["int8"].min()), int(drawn["int8"].max())] == [-2, 2]
    assert [int(drawn["uint8"].min()), int(drawn["uint8"].max())] == [0, 255]
