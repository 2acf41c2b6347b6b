"""OpenVINO on a CPU: networks converted once to its format, compiled in about a second."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any  # OpenVINO ships no types: its objects are Any here

import torch
from torch import nn

from engines.backends.openvino_int8 import int8_availability, quantised
from engines.backends.openvino_ir import MODEL, WEIGHTS, exporter_hash, write_ir
from engines.backends.openvino_library import import_openvino
from engines.backends.openvino_module import Network, OpenVinoModule
from engines.calibration import Calibration
from engines.errors import ArtifactError, EngineError
from engines.protocol import Artifact, Availability, BackendOptions
from engines.spec import INT8, EngineSpec
from engines.swap import WeightPlaces

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

    def quantises(self, device: str) -> Mapping[str, Availability]:
        """Tell whether networks can be built for int8 here; never raises."""
        return {INT8: int8_availability()}

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
            network = Network(model, lambda it: core.compile_model(it, device.upper(), properties))
        except RuntimeError as error:
            raise ArtifactError(f"{spec.role}: openvino cannot load {MODEL}: {error}") from error
        used = network.compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if used != hint:
            raise EngineError(f"{spec.role}: asked openvino for {hint}, it computes in {used}")
        return OpenVinoModule(
            spec,
            network,
            places=None if spec.precision == INT8 else WeightPlaces.read(artifact),
            weight_bytes=(artifact.folder / WEIGHTS).stat().st_size,
            computes_in=INT8 if _is_quantised(model) else floats,
        )


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
