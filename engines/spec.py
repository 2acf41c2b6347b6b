"""What a compiled network is called with: role, named tensors, precision; knows no framework."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any  # Any: JSON

from engines.errors import ShapeOutOfProfile, SpecMismatch

if TYPE_CHECKING:
    import torch

DTYPES = ("bool", "uint8", "int8", "int32", "int64", "float32", "float16", "bfloat16")
#: Weights and activations of eight bits need real inputs to choose their ranges by
#: (`calibration.py`); what is not quantised of such a network computes in a wider precision.
INT8, FP8 = "int8", "fp8"
QUANTISED = (INT8, FP8)
PRECISIONS = ("fp32", "bf16", "fp16", *QUANTISED)
KNOWN_ROLES = (
    "text_encoder",
    "vae_encoder",
    "unet",
    "vae_decoder",
    "motion_adapter",
    "controlnet",
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A side that may differ from one binding to the next: `times` a base size in least..most.

    name: of the base size; it is one number in all tensors of a network. So the height of a
    picture is `Range(name="h", …, times=8)` beside the `Range(name="h", …)` of its latent.
    usual: the base size that a backend may tune for. step: of the base size, from `least` on.
    """

    name: str
    least: int
    usual: int
    most: int
    step: int = 1
    times: int = 1

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SpecMismatch(f"range name {self.name!r}: use lower case letters, digits and _")
        if not 1 <= self.least <= self.usual <= self.most or self.step < 1 or self.times < 1:
            raise SpecMismatch(f"range {self}: needs 1 <= least <= usual <= most, step, times >= 1")
        if not self.has(self.usual) or not self.has(self.most):
            raise SpecMismatch(f"range {self}: usual and most are no steps from least")

    def has(self, base: int) -> bool:
        """Tell whether a base size is one of them."""
        return self.least <= base <= self.most and (base - self.least) % self.step == 0

    def __str__(self) -> str:
        base = f"{self.least}..{self.most}"
        return f"{self.name}={base if self.step == 1 else f'{base} by {self.step}'} x{self.times}"


Side = int | Range


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor; a torch dtype is stored as its name.

    keeps_dtype: whether a network is given an input in this dtype, whatever it computes in. So are
    slabs, of which it picks a part and casts that alone; other floats are cast as a whole.
    """

    name: str
    shape: tuple[Side, ...]
    dtype: str | torch.dtype
    keeps_dtype: bool = False

    def __post_init__(self) -> None:
        dtype = str(self.dtype).removeprefix("torch.")
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "dtype", dtype)
        if not _NAME.fullmatch(self.name):
            raise SpecMismatch(f"tensor name {self.name!r}: use lower case letters, digits and _")
        if dtype not in DTYPES:
            allowed = ", ".join(DTYPES)
            raise SpecMismatch(f"tensor {self.name!r}: dtype {dtype!r}: choose {allowed}")
        if not all(isinstance(side, Range) or _is_size(side) for side in self.shape):
            raise SpecMismatch(
                f"tensor {self.name!r}: shape {self.shape}: every dimension is a positive int"
                " or a Range"
            )

    @property
    def dtype_name(self) -> str:
        """Name of the dtype without "torch."."""
        return str(self.dtype)

    @property
    def ranges(self) -> tuple[Range, ...]:
        """Sides that are not fixed."""
        return tuple(side for side in self.shape if isinstance(side, Range))

    @property
    def usual_shape(self) -> tuple[int, ...]:
        """The shape with every range at its usual size."""
        return self.shape_at({side.name: side.usual for side in self.ranges})

    def shape_at(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape at these base sizes, by name; those of other tensors may be among them.

        Raises ShapeOutOfProfile for a size outside of its range.
        """
        return tuple(
            side if isinstance(side, int) else _side_at(self, side, sizes) for side in self.shape
        )

    def __str__(self) -> str:
        sides = ", ".join(str(side) for side in self.shape)
        return f"{self.name} [{sides}] {self.dtype_name}"


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """A network's role, its inputs and outputs in positional order, and its precision.

    role: one of KNOWN_ROLES, or another lower-case word for a network of another kind.
    precision: what the network computes in, already resolved ("auto" ends in `precision.py`).
    swaps_weights: whether its weights are to be exchanged later. Where that costs speed, a backend
    builds for it only if it is asked to; where it does not, it can be done in any case.
    """

    role: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    precision: str
    swaps_weights: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if not _NAME.fullmatch(self.role):
            known = ", ".join(KNOWN_ROLES)
            raise SpecMismatch(f"role {self.role!r}: use a lower-case word such as {known}")
        if self.precision not in PRECISIONS:
            allowed = ", ".join(PRECISIONS)
            raise SpecMismatch(f"{self.role}: precision {self.precision!r}: choose {allowed}")
        if not self.inputs or not self.outputs:
            raise SpecMismatch(f"{self.role}: needs at least one input and one output")
        repeated = _repeated(tensor.name for tensor in (*self.inputs, *self.outputs))
        if repeated:
            raise SpecMismatch(f"{self.role}: tensor names {repeated} occur more than once")
        given = {side.name for tensor in self.inputs for side in tensor.ranges}
        unknown = sorted({r.name for tensor in self.outputs for r in tensor.ranges} - given)
        if unknown:
            raise SpecMismatch(f"{self.role}: outputs have ranges {unknown} that no input has")
        bases: dict[str, Range] = {}
        for each in (*self.inputs, *self.outputs):
            for mine in each.ranges:
                first = bases.setdefault(mine.name, mine)
                if replace(first, times=1) != replace(mine, times=1):
                    both = f"{first} and {mine}"
                    raise SpecMismatch(f"{self.role}: {both} are one range: make them alike")

    @property
    def ranges(self) -> dict[str, Range]:
        """The ranges by name, counted in base sizes; empty where all shapes are fixed."""
        sides = (side for tensor in self.inputs for side in tensor.ranges)
        return {side.name: replace(side, times=1) for side in sides}

    def at(self, sizes: Mapping[str, int] | None = None) -> EngineSpec:
        """Return the specification with fixed shapes, at these base sizes, or the usual ones.

        Raises ShapeOutOfProfile for a size outside of its range.
        """
        usual = {name: side.usual for name, side in self.ranges.items()}
        chosen = {**usual, **(sizes or {})}
        return replace(
            self,
            inputs=tuple(replace(each, shape=each.shape_at(chosen)) for each in self.inputs),
            outputs=tuple(replace(each, shape=each.shape_at(chosen)) for each in self.outputs),
        )

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> EngineSpec:
        """Return the specification that `to_dict` gave."""
        inputs, outputs = (
            tuple(_tensor_from(each) for each in told[kind]) for kind in ("inputs", "outputs")
        )
        return cls(
            role=told["role"],
            inputs=inputs,
            outputs=outputs,
            precision=told["precision"],
            swaps_weights=told.get("swaps_weights", False),
        )

    def to_dict(self) -> dict[str, object]:
        """Return the specification as plain data."""
        return {
            "role": self.role,
            "precision": self.precision,
            "inputs": [_tensor_dict(tensor) for tensor in self.inputs],
            "outputs": [_tensor_dict(tensor) for tensor in self.outputs],
            # Left out where it is not asked for: what was built before is found again.
            **({"swaps_weights": True} if self.swaps_weights else {}),
        }


def _tensor_dict(tensor: TensorSpec) -> dict[str, object]:
    sides = [asdict(side) if isinstance(side, Range) else side for side in tensor.shape]
    told = {"name": tensor.name, "shape": sides, "dtype": tensor.dtype_name}
    # Left out where it is not so: what was built before is found again.
    return told | ({"keeps_dtype": True} if tensor.keeps_dtype else {})


def _tensor_from(told: Mapping[str, Any]) -> TensorSpec:
    shape = tuple(Range(**side) if isinstance(side, dict) else side for side in told["shape"])
    return TensorSpec(told["name"], shape, told["dtype"], told.get("keeps_dtype", False))


def _is_size(side: object) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and side > 0


def _side_at(tensor: TensorSpec, side: Range, sizes: Mapping[str, int]) -> int:
    base = sizes[side.name]
    if not side.has(base):
        raise ShapeOutOfProfile(
            f"tensor {tensor.name!r}: {side.name} {base} is outside of the range it was built"
            f" for, {side}: build one for this size"
        )
    return side.times * base


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    repeated: set[str] = set()
    for name in names:
        (repeated if name in seen else seen).add(name)
    return sorted(repeated)
