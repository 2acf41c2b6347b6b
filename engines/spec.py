"""What a compiled network is called with: role, named tensors, precision; knows no framework."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.errors import SpecMismatch

if TYPE_CHECKING:
    import torch

DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float16", "bfloat16")
#: int8 weights and activations need real inputs to choose their ranges by (`calibration.py`).
INT8 = "int8"
PRECISIONS = ("fp32", "bf16", "fp16", INT8)
KNOWN_ROLES = (
    "text_encoder",
    "vae_encoder",
    "unet",
    "vae_decoder",
    "motion_adapter",
    "controlnet",
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor of static shape; a torch dtype is stored as its name."""

    name: str
    shape: tuple[int, ...]
    dtype: str | torch.dtype

    def __post_init__(self) -> None:
        dtype = str(self.dtype).removeprefix("torch.")
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "dtype", dtype)
        if not _NAME.fullmatch(self.name):
            raise SpecMismatch(f"tensor name {self.name!r}: use lower case letters, digits and _")
        if dtype not in DTYPES:
            allowed = ", ".join(DTYPES)
            raise SpecMismatch(f"tensor {self.name!r}: dtype {dtype!r}: choose {allowed}")
        if not all(isinstance(size, int) and size > 0 for size in self.shape):
            raise SpecMismatch(
                f"tensor {self.name!r}: shape {self.shape}: every dimension is a positive int"
            )

    @property
    def dtype_name(self) -> str:
        """Name of the dtype without "torch."."""
        return str(self.dtype)

    def __str__(self) -> str:
        return f"{self.name} {list(self.shape)} {self.dtype_name}"


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """A network's role, its inputs and outputs in positional order, and its precision.

    role: one of KNOWN_ROLES, or another lower-case word for a network of another kind.
    precision: what the network computes in, already resolved ("auto" ends in `precision.py`).
    """

    role: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    precision: str

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

    def to_dict(self) -> dict[str, object]:
        """Return the specification as plain data."""
        return {
            "role": self.role,
            "precision": self.precision,
            "inputs": [_tensor_dict(tensor) for tensor in self.inputs],
            "outputs": [_tensor_dict(tensor) for tensor in self.outputs],
        }


def _tensor_dict(tensor: TensorSpec) -> dict[str, object]:
    return {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype_name}


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    repeated: set[str] = set()
    for name in names:
        (repeated if name in seen else seen).add(name)
    return sorted(repeated)
