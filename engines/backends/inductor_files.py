"""What lies in the folder of a network that AOTInductor compiled: a package, and a list of weights.

Both are written at the end of a build and read by `load`; nothing here compiles or runs.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any  # torch's loader of packages has other methods than its stubs say

import torch
from torch import Tensor

from engines.errors import ArtifactError
from engines.narrowing import PREFIX
from engines.protocol import Artifact

MODEL = "model.pt2"
WEIGHTS = "weights.json"
# What a GPU's code is loaded from when a kernel first runs; the rest is loaded at once.
_LOADED_LATE = (".cubin", ".fatbin", ".hsaco")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What one weight is to the compiled code; place: the same for the names of one tensor."""

    place: str
    shape: list[int]
    stride: list[int]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return math.prod(self.shape) * dtype.itemsize

    def put(self, value: Tensor, device: torch.device) -> Tensor:
        """Return a value as the code reads it: with its dtype, its strides and nothing around.

        The code copies as many bytes as there are behind a tensor, and asks no questions.
        """
        dtype = getattr(torch, self.dtype)
        return torch.empty_strided(self.shape, self.stride, dtype=dtype, device=device).copy_(value)


class Loaded:
    """The compiled code in memory, and what it may still need of its files until it goes."""

    def __init__(self, runner: Any, files: Path) -> None:
        self.runner = runner
        weakref.finalize(self, shutil.rmtree, files, ignore_errors=True)


def write_weights(
    program: torch.export.ExportedProgram, folder: Path, *, kind: str, precision: str
) -> None:
    """Write the list of weights; those that are one have one place. kind: of device."""
    places: dict[tuple[int, torch.Size], str] = {}
    weights = {}
    for name, value in program.state_dict.items():
        weight = Weight(
            place=places.setdefault((value.data_ptr(), value.shape), name),
            shape=list(value.shape),
            stride=list(value.stride()),
            dtype=str(value.dtype).removeprefix("torch."),
        )
        weights[name.removeprefix(PREFIX)] = asdict(weight)
    told = {"device": kind, "precision": precision, "weights": weights}
    (folder / WEIGHTS).write_text(json.dumps(told, indent=1), encoding="utf-8")


def read_weights(artifact: Artifact, *, kind: str) -> Mapping[str, Weight]:
    """Return the weights by name; ArtifactError where they are of another device or precision."""
    role, precision = artifact.spec.role, artifact.spec.precision
    try:
        told = json.loads((artifact.folder / WEIGHTS).read_text(encoding="utf-8"))
        weights = {name: Weight(**each) for name, each in told["weights"].items()}
        built = f"{told['device']} in {told['precision']}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{role}: {WEIGHTS} is no good: {error!r}") from error
    if built != f"{kind} in {precision}":
        raise ArtifactError(f"{role}: {MODEL} is for {built}; required: {kind} in {precision}")
    return weights


def load_package(artifact: Artifact, device: torch.device) -> Loaded:
    """Load the package, and remove what was unpacked for it as soon as it is needed no more.

    torch itself would leave all of it behind where the process is killed.
    """
    index = -1 if device.index is None else device.index
    # Captured as a graph, a run must take no locks and record no events.
    is_single = device.type == "cuda"
    files = Path(tempfile.mkdtemp(prefix="streamgen-"))
    try:
        with zipfile.ZipFile(artifact.folder / MODEL) as archive:
            archive.extractall(files)
        runner = torch._C._aoti.AOTIModelPackageLoader(str(files), "model", is_single, 1, index)
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        shutil.rmtree(files, ignore_errors=True)
        raise ArtifactError(f"{artifact.spec.role}: torch cannot load {MODEL}: {error}") from error
    for path in files.rglob("*"):
        if path.is_file() and path.suffix not in _LOADED_LATE:
            with suppress(PermissionError):  # Windows keeps what is in use
                path.unlink()
    return Loaded(runner, files)
