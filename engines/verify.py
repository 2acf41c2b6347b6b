"""Whether a compiled network computes what its module computes in fp32 torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from engines.binding import torch_dtype
from engines.errors import EngineError
from engines.protocol import CompiledModule
from engines.spec import EngineSpec, TensorSpec

# Small, so that a random integer is a valid token as well as a valid timestep.
_MAX_INT = 16
_SNR_BOUND_DB = 999.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The worst that is accepted of any output; levels of uint8 count as their numbers.

    inner_snr_db: of outputs after the first, where these are steps on the way to it; None: as it.
    """

    min_snr_db: float
    max_abs: float = math.inf
    inner_snr_db: float | None = None

    def snr_db_of(self, place: int) -> float:
        """Return the least that is accepted of an output, by its place among them."""
        if place == 0 or self.inner_snr_db is None:
            return self.min_snr_db
        return self.inner_snr_db


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputReport:
    """How far one output is from the reference; snr_db is held within ±999."""

    name: str
    max_abs: float
    snr_db: float
    is_finite: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The comparison of one network, output by output."""

    role: str
    outputs: tuple[OutputReport, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain data."""
        return asdict(self)

    def require(self, limits: Limits) -> None:
        """Raise EngineError naming the first output that is worse than the limits."""
        for place, output in enumerate(self.outputs):
            least_db = limits.snr_db_of(place)
            where = f"{self.role}: output {output.name!r}"
            if not output.is_finite:
                raise EngineError(f"{where} has NaN or infinity")
            if output.snr_db < least_db:
                raise EngineError(
                    f"{where} is {output.snr_db:.1f} dB from the fp32 reference; "
                    f"required: {least_db:g} dB"
                )
            if output.max_abs > limits.max_abs:
                raise EngineError(
                    f"{where} differs by {output.max_abs:g} from the fp32 reference; "
                    f"required: at most {limits.max_abs:g}"
                )


def sample_inputs(spec: EngineSpec, *, seed: int) -> dict[str, Tensor]:
    """Draw CPU inputs: normal floats, all levels of uint8, small other integers.

    Ranges are at their usual size; for another one, give `spec.at(sizes)`.
    """
    generator = torch.Generator().manual_seed(seed)
    return {tensor.name: _sample(tensor, generator) for tensor in spec.inputs}


def compare(
    compiled: CompiledModule,
    reference: nn.Module,
    *,
    inputs: Mapping[str, Tensor],
    device: str = "cpu",
) -> Report:
    """Run both on the same inputs; the reference is an fp32 module on the CPU in eval mode.

    Raises EngineError where an output has another dtype than its specification.
    """
    spec = compiled.spec
    binding = compiled.bind({name: tensor.to(device) for name, tensor in inputs.items()})
    binding.run()
    for tensor in spec.outputs:
        made_in = binding.outputs[tensor.name].dtype
        if made_in != torch_dtype(tensor):
            raise EngineError(
                f"{spec.role}: output {tensor.name!r} is {made_in}; required: {tensor.dtype_name}"
            )
    with torch.inference_mode():
        made = reference(*(inputs[tensor.name] for tensor in spec.inputs))
    expected = made if isinstance(made, tuple | list) else (made,)
    reports = (
        _report(tensor.name, binding.outputs[tensor.name].cpu(), right)
        for tensor, right in zip(spec.outputs, expected, strict=True)
    )
    return Report(role=spec.role, outputs=tuple(reports))


def snr_db(actual: Tensor, reference: Tensor) -> float:
    """Return the power of the reference over that of the difference, within ±999 dB."""
    signal = reference.double().square().sum().item()
    noise = (actual.double() - reference.double()).square().sum().item()
    if noise == 0.0:
        return _SNR_BOUND_DB
    if signal == 0.0 or not math.isfinite(noise):
        return -_SNR_BOUND_DB
    return 10.0 * math.log10(signal / noise)


def _report(name: str, actual: Tensor, reference: Tensor) -> OutputReport:
    is_finite = bool(torch.isfinite(actual.double()).all())
    difference = (actual.double() - reference.double()).abs().max().item()
    return OutputReport(
        name=name,
        max_abs=difference if is_finite else math.inf,
        snr_db=snr_db(actual, reference),
        is_finite=is_finite,
    )


def _sample(tensor: TensorSpec, generator: torch.Generator) -> Tensor:
    dtype = torch_dtype(tensor)
    if dtype.is_floating_point:
        return torch.randn(tensor.usual_shape, generator=generator).to(dtype)
    # int8 comes with scales, which are normal floats here: what is made of both is to be of unit
    # size, as what was quantised is, and not what only a wide type can tell apart.
    ranges = {torch.int8: (-2, 3), torch.uint8: (0, 256), torch.bool: (0, 2)}
    low, high = ranges.get(dtype, (0, _MAX_INT))
    return torch.randint(low, high, tensor.usual_shape, generator=generator).to(dtype)
