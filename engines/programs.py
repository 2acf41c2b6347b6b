"""A network on disk, with which another process builds; no part of it is ever unpickled.

A folder of `spec.json`, the exported graph as JSON, its parameters, buffers and constants as
safetensors, and the samples of a calibration. torch's own file for programs would hold pickles.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch._export.serde.serialize import SerializedArtifact, deserialize, serialize
from torch.export import ExportedProgram

from engines.calibration import Calibration
from engines.errors import BuildError, EngineError
from engines.export import exported
from engines.spec import EngineSpec

SPEC = "spec.json"
GRAPH = "graph.json"
PARAMETERS = "parameters.safetensors"
BUFFERS = "buffers.safetensors"
CONSTANTS = "constants.safetensors"
SAMPLES = "samples.safetensors"


def save_program(
    spec: EngineSpec, module: nn.Module, folder: Path, calibration: Calibration | None = None
) -> None:
    """Export a module and write it into an existing folder.

    module: fp32 on the CPU; it is put in eval mode. Raises BuildError where it cannot be exported.
    """
    program = exported(spec, module)
    strange = [name for name, value in program.constants.items() if not isinstance(value, Tensor)]
    if strange:
        raise BuildError(f"{spec.role}: constants {strange} are no tensors: build it in-process")
    # Without these, torch would pickle them beside the graph.
    graph = serialize(
        program,
        serialize_state_dict=False,
        serialize_constants=False,
        serialize_example_inputs=False,
    )
    (folder / GRAPH).write_bytes(graph.exported_program)
    kept, parameters = program.state_dict, set(program.graph_signature.parameters)
    _save({name: kept[name] for name in kept if name in parameters}, folder / PARAMETERS)
    _save({name: kept[name] for name in kept if name not in parameters}, folder / BUFFERS)
    _save(program.constants, folder / CONSTANTS)
    told: dict[str, object] = {"spec": spec.to_dict(), "calibration": None}
    if calibration is not None:
        told["calibration"] = calibration.fingerprint
        _save(_numbered(calibration.samples()), folder / SAMPLES)
    (folder / SPEC).write_text(json.dumps(told, indent=1), encoding="utf-8")


def load_program(folder: Path) -> tuple[EngineSpec, nn.Module, Calibration | None]:
    """Return what `save_program` was given; the module is the exported one, its weights by name.

    Raises EngineError where the folder holds something else.
    """
    try:
        told = json.loads((folder / SPEC).read_text(encoding="utf-8"))
        spec = EngineSpec.from_dict(told["spec"])
        program = _program(folder)
    # torch raises types of its own, and bare ones, for a graph that it cannot read
    except Exception as error:
        raise EngineError(f"{str(folder)!r} holds no program: {error}") from error
    calibration = None
    if told["calibration"] is not None:
        calibration = Calibration(
            samples=lambda: _samples(folder / SAMPLES), fingerprint=told["calibration"]
        )
    return spec, program.module(), calibration


def _program(folder: Path) -> ExportedProgram:
    stored = load_file(folder / PARAMETERS)
    kept: dict[str, Tensor] = load_file(folder / BUFFERS)
    kept |= {name: nn.Parameter(stored[name], requires_grad=False) for name in stored}
    graph = SerializedArtifact(
        exported_program=(folder / GRAPH).read_bytes(),
        # Given as tensors, they are taken as they are; bytes would be unpickled.
        state_dict=kept,  # type: ignore[arg-type]
        constants=load_file(folder / CONSTANTS),  # type: ignore[arg-type]
        example_inputs=b"",
    )
    program: ExportedProgram = deserialize(graph)
    return program


def _samples(path: Path) -> Sequence[Mapping[str, Tensor]]:
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BuildError(f"{str(path)!r} holds no samples: {error}") from error
    found: dict[str, dict[str, Tensor]] = {}
    for key in sorted(stored):
        number, _, name = key.partition(".")
        found.setdefault(number, {})[name] = stored[key]
    return list(found.values())


def _numbered(samples: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    named = ((number, pair) for number, sample in enumerate(samples) for pair in sample.items())
    return {f"{number:06d}.{name}": tensor for number, (name, tensor) in named}


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors; those that share their memory are written once for each name."""
    held: set[int] = set()
    apart: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        given = tensor.detach().to("cpu", memory_format=torch.contiguous_format)
        plain = given.contiguous()
        address = plain.untyped_storage().data_ptr()
        apart[name] = plain.clone() if address in held else plain
        held.add(address)
    try:
        save_file(apart, path)
    except SafetensorError as error:  # what it makes of a full disk
        raise OSError(errno.EIO, f"cannot write ({error})", str(path)) from error
