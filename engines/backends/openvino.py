"""OpenVINO on a CPU: networks converted once to its format, compiled in about a second."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any  # OpenVINO ships no types: its objects are Any here

import torch
from torch import Tensor, nn

from engines.backends.openvino_int8 import int8_availability, quantised
from engines.backends.openvino_ir import MODEL, WEIGHTS, exporter_hash, import_openvino, write_ir
from engines.binding import bound_spec, checked_inputs, checked_outputs
from engines.calibration import Calibration
from engines.errors import ArtifactError, EngineError, SwapUnsupported
from engines.protocol import Artifact, Availability, BackendOptions, MemoryInfo, SwapResult
from engines.spec import INT8, EngineSpec

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CORE_LOCK = Lock()
_CAPABILITIES = (("BF16", "bf16"), ("FP32", "fp32"), ("FP16", "fp16"))


class OpenVinoBackend:
    """Builds, loads and compiles with the one `ov.Core` of the process."""

    name = "openvino"
    #: Two cores are as busy with one picture as with more; see benchmarks/LOG.md.
    batch_sizes: tuple[int, ...] = (1, 2, 4)

    def __init__(self, options: BackendOptions) -> None:
        self.options = options

    def probe(self, device: str) -> Availability:
        """Tell whether OpenVINO is installed and has a CPU plugin; never raises."""
        if device != "cpu":
            hint = "use --device cpu, or --backend torch"
            return Availability(ok=False, reason=f"runs on cpu, not on {device}", hint=hint)
        hint = "pip install openvino"
        try:
            devices = shared_core().available_devices
        except (ImportError, OSError, RuntimeError) as error:
            return Availability(ok=False, reason=str(error).splitlines()[0], hint=hint)
        versions = _versions()
        if "CPU" not in devices:
            reason = f"finds no CPU plugin, only {devices}"
            return Availability(ok=False, reason=reason, hint=hint, versions=versions)
        return Availability(ok=True, versions=versions)

    def precisions(self, device: str) -> tuple[str, ...]:
        """Precisions that this CPU computes in, bf16 first where it has it."""
        able = shared_core().get_property(device.upper(), "OPTIMIZATION_CAPABILITIES")
        return tuple(precision for capability, precision in _CAPABILITIES if capability in able)

    def key_facts(self, spec: EngineSpec, *, device: str) -> dict[str, object]:
        """What shapes the files: versions only; CPU, threads and precision act on loading."""
        quantiser = dict(int8_availability().versions) if spec.precision == INT8 else {}
        return {"versions": {**_versions(), **quantiser}, "exporter": exporter_hash()}

    def int8(self, device: str) -> Availability:
        """Tell whether networks can be built for int8 here; never raises."""
        return int8_availability()

    def build(
        self,
        spec: EngineSpec,
        module: nn.Module,
        folder: Path,
        *,
        device: str = "cpu",
        calibration: Calibration | None = None,
    ) -> None:
        """Convert the module, which is put in eval mode, and write it; weights fp32 or int8."""
        if calibration is None:
            write_ir(spec, module, folder)
        else:
            write_ir(spec, module, folder, change=lambda it: quantised(it, spec, calibration))

    def load(self, artifact: Artifact, *, device: str) -> OpenVinoModule:
        """Compile a built network for this CPU, in the precision of its specification."""
        spec, core = artifact.spec, shared_core()
        # What is not quantised computes in the best float that there is.
        floats = self.precisions(device)[0] if spec.precision == INT8 else spec.precision
        hint = _HINTS[floats]
        properties = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        if hint == "f32":
            # In fp32, the fusions of OpenVINO 2026.4.1 end the process with a segmentation fault
            # where the output of a GroupNorm is scaled by a vector of another network's making.
            properties["SNIPPETS_MODE"] = "DISABLE"
        if self.options.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = str(self.options.threads)
        try:
            model = core.read_model(artifact.folder / MODEL, artifact.folder / WEIGHTS)
            _check_ports(spec, (*model.inputs, *model.outputs))
            compiled = core.compile_model(model, device.upper(), properties)
        except RuntimeError as error:
            raise ArtifactError(f"{spec.role}: openvino cannot load {MODEL}: {error}") from error
        used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if used != hint:
            raise EngineError(f"{spec.role}: asked openvino for {hint}, it computes in {used}")
        weight_bytes = (artifact.folder / WEIGHTS).stat().st_size
        computes_in = INT8 if _is_quantised(model) else floats
        return OpenVinoModule(spec, compiled, weight_bytes=weight_bytes, computes_in=computes_in)


def shared_core() -> Any:
    """Return the one `ov.Core` of this process, which stays until its end.

    The CPU plugin of OpenVINO 2026.4.1 lays a stack for signals under the thread that first uses
    a core, and takes it away with the core. Where a second core outlived the first, it put back
    the first one's, long freed, and the next Ctrl-C ended the process with a segmentation fault.
    """
    with _CORE_LOCK:
        return _made_core()


@cache
def _made_core() -> Any:
    return import_openvino().Core()


class OpenVinoModule:
    """A network compiled by OpenVINO."""

    def __init__(
        self, spec: EngineSpec, compiled: Any, *, weight_bytes: int, computes_in: str
    ) -> None:
        self.spec = spec
        self.computes_in = computes_in
        self._compiled: Any = compiled
        self._weight_bytes = weight_bytes

    def bind(
        self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor] | None = None
    ) -> OpenVinoBinding:
        """Tie the network to CPU tensors; outputs not given are allocated once, here."""
        if self._compiled is None:
            raise EngineError(f"{self.spec.role}: closed, compile it again")
        cpu = torch.device("cpu")
        spec = bound_spec(self.spec, inputs)
        given = checked_inputs(spec, inputs, device=cpu)
        named = {tensor.name: value for tensor, value in zip(spec.inputs, given, strict=True)}
        made = checked_outputs(spec, outputs, device=cpu)
        return OpenVinoBinding(self._compiled.create_infer_request(), inputs=named, outputs=made)

    def swap_weights(self, delta: Mapping[str, Tensor]) -> SwapResult:
        """Refuse: OpenVINO folds weights into its own layout."""
        raise SwapUnsupported(
            f"{self.spec.role}: openvino cannot swap weights, compile the changed module instead"
        )

    def memory(self) -> MemoryInfo:
        """Tell the size of the fp32 weights; OpenVINO does not tell what it made of them."""
        return MemoryInfo(weight_bytes=self._weight_bytes)

    def close(self) -> None:
        """Let go of the network; bindings made before keep it until they are dropped."""
        self._compiled = None


class OpenVinoBinding:
    """An inference request that reads and writes the memory of the bound torch tensors."""

    def __init__(
        self, request: Any, *, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
    ) -> None:
        self.outputs = outputs
        self._request: Any = request
        self._inputs = inputs  # with the outputs: kept alive, the request has only their addresses
        ov = import_openvino()
        for name, tensor in (*inputs.items(), *outputs.items()):
            request.set_tensor(name, ov.Tensor(tensor.detach().numpy(), shared_memory=True))

    def run(self) -> None:
        """Compute the outputs from what the inputs hold now, outside of Python's lock."""
        self._request.infer(share_outputs=True)


def _versions() -> dict[str, str]:
    versions = {"torch": str(torch.__version__)}
    try:
        versions["openvino"] = version("openvino")
    except PackageNotFoundError:  # an OpenVINO from a distribution has no Python metadata
        versions["openvino"] = str(import_openvino().__version__)
    return versions


def _is_quantised(model: Any) -> bool:
    return any(node.get_type_name() == "FakeQuantize" for node in model.get_ops())


def _check_ports(spec: EngineSpec, ports: tuple[Any, ...]) -> None:
    found = {name for port in ports for name in port.get_names()}
    missing = [t.name for t in (*spec.inputs, *spec.outputs) if t.name not in found]
    if missing:
        raise ArtifactError(f"{spec.role}: {MODEL} has no tensors {missing}, only {sorted(found)}")
