"""ONNX Runtime: networks as ONNX files, run on a CPU, or on a GPU where its build has CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any  # ONNX Runtime ships no types: its objects are Any here

import torch
from torch import Tensor, nn

from engines.backends.onnxruntime_fp16 import COMPUTES_IN, rewrite_in_fp16, rewriter_hash
from engines.binding import bound_spec, checked_inputs, checked_outputs
from engines.errors import ArtifactError, BuildError, EngineError, SwapUnsupported
from engines.export import MODEL, OLDER_OPSET, OPSET, exporter_hash, write_onnx
from engines.protocol import Artifact, Availability, BackendOptions, MemoryInfo, SwapResult
from engines.spec import EngineSpec, TensorSpec

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
#: Numbers and names that ONNX and ONNX Runtime have for the types of tensors.
_TYPES = {
    "float32": (1, "float"),
    "uint8": (2, "uint8"),
    "int32": (6, "int32"),
    "int64": (7, "int64"),
    "bool": (9, "bool"),
    "float16": (10, "float16"),
    "bfloat16": (16, "bfloat16"),
}
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
            "exporter": [exporter_hash(), rewriter_hash()],
            "opsets": [OPSET, OLDER_OPSET],
        }

    def build(
        self, spec: EngineSpec, module: nn.Module, folder: Path, *, device: str = "cpu"
    ) -> None:
        """Write the module, which is put in eval mode, in the newest opset that can be run."""
        for tensor in (*spec.inputs, *spec.outputs):
            if tensor.dtype_name not in _TYPES:
                raise BuildError(f"{spec.role}: {tensor}: onnxruntime takes {', '.join(_TYPES)}")
        for opset in (OPSET, OLDER_OPSET):
            try:
                write_onnx(spec, module, folder / MODEL, opset=opset)
                if spec.precision == "fp16":
                    rewrite_in_fp16(folder / MODEL)
                self._session(spec, folder / MODEL, "cpu")
                return
            except (BuildError, ArtifactError) as error:
                refused = error  # torch cannot write, or ONNX Runtime run, what a newer one has
        raise BuildError(str(refused)) from refused

    def load(self, artifact: Artifact, *, device: str) -> OnnxRuntimeModule:
        """Open a built network on the device."""
        spec, path = artifact.spec, artifact.folder / MODEL
        session = self._session(spec, path, device)
        _check_ports(spec.inputs, session.get_inputs(), spec.role)
        _check_ports(spec.outputs, session.get_outputs(), spec.role)
        used = session.get_providers()[0]
        if used != (CUDA if device.startswith("cuda") else CPU):
            raise EngineError(f"{spec.role}: asked onnxruntime for {device}, it runs on {used}")
        size = sum(file.stat().st_size for file in artifact.folder.glob(f"{MODEL}*"))
        return OnnxRuntimeModule(spec, session, device=torch.device(device), weight_bytes=size)

    def _session(self, spec: EngineSpec, path: Path, device: str) -> Any:
        ort = _import_onnxruntime()
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.use_deterministic_compute = True
        options.log_severity_level = 3  # errors; it warns of each constant that it folds away
        if self.options.threads is not None:
            options.intra_op_num_threads = self.options.threads
        # Each network has threads of its own: waiting busily they take the cores from each other.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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


class OnnxRuntimeModule:
    """A network opened by ONNX Runtime."""

    def __init__(
        self, spec: EngineSpec, session: Any, *, device: torch.device, weight_bytes: int
    ) -> None:
        self.spec = spec
        self.device = device
        # ONNX Runtime changes no types of its own accord.
        told: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        self.computes_in = told.get(COMPUTES_IN, "fp32")
        self._session: Any = session
        self._weight_bytes = weight_bytes

    def bind(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor] | None = None
    ) -> OnnxRuntimeBinding:
        """Tie the network to these tensors; outputs not given are allocated once, here."""
        if self._session is None:
            raise EngineError(f"{self.spec.role}: closed, compile it again")
        spec = bound_spec(self.spec, inputs)
        given = checked_inputs(spec, inputs, device=self.device)
        named = {tensor.name: value for tensor, value in zip(spec.inputs, given, strict=True)}
        made = checked_outputs(spec, outputs, device=self.device)
        return OnnxRuntimeBinding(self._session, spec, inputs=named, outputs=made)

    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """Refuse: ONNX Runtime folds weights into its own layout."""
        raise SwapUnsupported(
            f"{self.spec.role}: onnxruntime cannot swap weights, compile the changed module instead"
        )

    def memory(self) -> MemoryInfo:
        """Tell the size of the file; ONNX Runtime does not tell what it made of it."""
        return MemoryInfo(weight_bytes=self._weight_bytes)

    def close(self) -> None:
        """Let go of the network; bindings made before keep it until they are dropped."""
        self._session = None


class OnnxRuntimeBinding:
    """A session that reads and writes the memory of the bound torch tensors."""

    def __init__(
        self,
        session: Any,
        spec: EngineSpec,
        *,
        inputs: Mapping[str, Tensor],
        outputs: Mapping[str, Tensor],
    ) -> None:
        self.outputs = outputs
        self._session: Any = session
        self._inputs = inputs  # with the outputs: kept alive, the session has only their addresses
        self._tied: Any = session.io_binding()
        for tensor in spec.inputs:
            self._tied.bind_input(tensor.name, *_place(tensor, inputs[tensor.name]))
        for tensor in spec.outputs:
            self._tied.bind_output(tensor.name, *_place(tensor, outputs[tensor.name]))
        device = next(iter(outputs.values())).device
        self._gpu = device if device.type == "cuda" else None

    def run(self) -> None:
        """Compute the outputs from what the inputs hold now, outside of Python's lock."""
        if self._gpu is not None:
            # ONNX Runtime has a stream of its own, and waits for no other.
            torch.cuda.current_stream(self._gpu).synchronize()
        self._session.run_with_iobinding(self._tied)


def _place(tensor: TensorSpec, value: Tensor) -> tuple[str, int, int, list[int], int]:
    """Return where a tensor lies, in the words of `bind_input`."""
    number, _ = _TYPES[tensor.dtype_name]
    return value.device.type, value.device.index or 0, number, list(value.shape), value.data_ptr()


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
        if (kind, fixed) != (f"tensor({_TYPES[tensor.dtype_name][1]})", shape):
            raise ArtifactError(f"{role}: {MODEL} has {kind} {sides}; required: {tensor}")
