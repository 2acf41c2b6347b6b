"""ONNX Runtime: networks as ONNX files, run on a CPU, or on a GPU where its build has CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any  # ONNX Runtime ships no types: its objects are Any here

import torch
from torch import nn

from engines.backends.onnxruntime_fp16 import rewrite_in_fp16, rewriter_hash
from engines.backends.onnxruntime_module import TYPES, OnnxRuntimeModule
from engines.backends.onnxruntime_weights import finish, weights_hash, written_with_places
from engines.errors import ArtifactError, BuildError, EngineError
from engines.export import MODEL, OLDER_OPSET, OPSET, exporter_hash, write_onnx
from engines.protocol import Artifact, Availability, BackendOptions
from engines.spec import EngineSpec, TensorSpec
from engines.swap import WeightPlaces

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_PARTS = ("onnxruntime", "onnx", "onnxscript")


class OnnxRuntimeBackend:
    """Writes ONNX files and runs them: in fp32 on a CPU the second opinion beside torch."""

    name = "onnxruntime"
    #: As for openvino, whose figures these are; this backend's were not measured.
    batch_sizes: tuple[int, ...] = (1, 2, 4)

    def __init__(self, options: BackendOptions) -> None:
        self.options = options

    def probe(self, device: str) -> Availability:
        """Tell whether ONNX Runtime is here for the device, with what writes ONNX; never raises."""
        kind = device.split(":")[0]
        if kind not in ("cpu", "cuda"):
            hint = "use --device cpu, or --backend torch"
            return Availability(
                ok=False, reason=f"runs on cpu and cuda, not on {device}", hint=hint
            )
        versions = _versions()
        gpu = "-gpu" if kind == "cuda" else ""
        missing = [name for name in _PARTS if not _is_there(name)]
        if missing:
            hint = " ".join(["pip install", *missing]).replace("onnxruntime", f"onnxruntime{gpu}")
            reason = f"{', '.join(missing)} not installed"
            return Availability(ok=False, reason=reason, hint=hint, versions=versions)
        try:
            providers = _import_onnxruntime().get_available_providers()
        except (ImportError, OSError, RuntimeError) as error:
            reason, hint = str(error).splitlines()[0], "pip install --force-reinstall onnxruntime"
            return Availability(ok=False, reason=reason, hint=hint + gpu, versions=versions)
        if gpu and not torch.cuda.is_available():
            reason, hint = "torch finds no CUDA device", "use --device cpu"
            return Availability(ok=False, reason=reason, hint=hint, versions=versions)
        if gpu and CUDA not in providers:
            hint = "pip uninstall -y onnxruntime && pip install onnxruntime-gpu"
            reason = "this onnxruntime was built without CUDA"
            return Availability(ok=False, reason=reason, hint=hint, versions=versions)
        return Availability(ok=True, versions=versions)

    def precisions(self, device: str) -> tuple[str, ...]:
        """Precisions that ONNX Runtime has kernels for: no bf16, and halves on a GPU only."""
        return ("fp16", "fp32") if device.startswith("cuda") else ("fp32",)

    def key_facts(self, spec: EngineSpec, *, device: str) -> dict[str, object]:
        """What shapes the files; the device, its threads and streams act on loading."""
        return {
            "versions": _versions(),
            "exporter": [exporter_hash(), rewriter_hash(), weights_hash()],
            "opsets": [OPSET, OLDER_OPSET],
        }

    def build(
        self, spec: EngineSpec, module: nn.Module, folder: Path, *, device: str = "cpu"
    ) -> None:
        """Write the module, which is put in eval mode, in the newest opset that can be run."""
        for tensor in (*spec.inputs, *spec.outputs):
            if tensor.dtype_name not in TYPES:
                raise BuildError(f"{spec.role}: {tensor}: onnxruntime takes {', '.join(TYPES)}")
        for opset in (OPSET, OLDER_OPSET):
            try:
                self._write(spec, module, folder / MODEL, opset=opset)
                self._session(spec, folder / MODEL, "cpu")
                return
            except (BuildError, ArtifactError) as error:
                refused = error  # torch cannot write, or ONNX Runtime run, what a newer one has
        raise BuildError(str(refused)) from refused

    def _write(self, spec: EngineSpec, module: nn.Module, path: Path, *, opset: int) -> None:
        written = written_with_places(
            module, path, lambda given: write_onnx(spec, given, path, opset=opset)
        )
        if spec.precision == "fp16":
            rewrite_in_fp16(path)
        finish(path, written)

    def load(self, artifact: Artifact, *, device: str) -> OnnxRuntimeModule:
        """Open a built network on the device."""
        spec, path = artifact.spec, artifact.folder / MODEL
        session = self._session(spec, path, device)
        _check_ports(spec.inputs, session.get_inputs(), spec.role)
        _check_ports(spec.outputs, session.get_outputs(), spec.role)
        used = session.get_providers()[0]
        if used != (CUDA if device.startswith("cuda") else CPU):
            raise EngineError(f"{spec.role}: asked onnxruntime for {device}, it runs on {used}")
        return OnnxRuntimeModule(
            spec,
            session,
            places=WeightPlaces.read(artifact),
            reopen=lambda values: self._session(spec, path, device, values=values),
            device=torch.device(device),
            weight_bytes=sum(file.stat().st_size for file in artifact.folder.glob(f"{MODEL}*")),
        )

    def _session(
        self,
        spec: EngineSpec,
        path: Path,
        device: str,
        *,
        values: Mapping[str, Any] = MappingProxyType({}),
    ) -> Any:
        """Open a file; values: of ONNX Runtime, by the names of weights, for those in the file."""
        ort = _import_onnxruntime()
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.use_deterministic_compute = True
        options.log_severity_level = 3  # errors; it warns of each constant that it folds away
        if self.options.threads is not None:
            options.intra_op_num_threads = self.options.threads
        # Each network has threads of its own: waiting busily they take the cores from each other.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_external_initializers(list(values), list(values.values()))
        providers: list[object] = [CPU]
        if device.startswith("cuda"):
            index = torch.device(device).index or 0
            # TF32 has the exponents of fp32, not its digits.
            providers.insert(0, (CUDA, {"device_id": str(index), "use_tf32": "0"}))
        try:
            return ort.InferenceSession(str(path), options, providers=providers)
        # its own types for every failure have no base class but Exception
        except Exception as error:
            told = f"onnxruntime cannot load {path.name}: {error}"
            raise ArtifactError(f"{spec.role}: {told}") from error


def _import_onnxruntime() -> Any:
    """Import and return `onnxruntime`, which on Windows would report to its vendor."""
    ort: Any = import_module("onnxruntime")
    ort.disable_telemetry_events()
    return ort


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # somebody keeps it from being imported
        return False


def _versions() -> dict[str, str]:
    """Return the versions of those parts that are installed; imports nothing."""
    found = {"torch": str(torch.__version__)}
    for name in _PARTS:
        for distribution in (name, f"{name}-gpu"):
            try:
                found[name] = version(distribution)
            except PackageNotFoundError:
                continue
    return found


def _check_ports(required: tuple[TensorSpec, ...], ports: list[Any], role: str) -> None:
    found = {port.name: (port.type, list(port.shape)) for port in ports}
    for tensor in required:
        shape = [side if isinstance(side, int) else None for side in tensor.shape]
        kind, sides = found.get(tensor.name, ("nothing", []))
        fixed = [side if isinstance(side, int) else None for side in sides]
        if (kind, fixed) != (f"tensor({TYPES[tensor.dtype_name][1]})", shape):
            raise ArtifactError(f"{role}: {MODEL} has {kind} {sides}; required: {tensor}")
