"""Whether TensorRT runs on a device, and if not, why, and what mends it; builds nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec

import torch

from engines.backends.tensorrt_library import Library
from engines.errors import BuildError, EngineError
from engines.protocol import Availability

#: From the first one on, and below the second: what the calls here were written for.
LEAST, BELOW = (10, 14), (12, 0)
#: Where the libraries are: the package index of Python has the bindings only.
INDEX = "https://pypi.nvidia.com"
INSTALL = f'pip install "tensorrt-cu13>=10.14.1,<12,!=11.3.*" --extra-index-url {INDEX}'
#: A network that was built for new weights may be wrong there even with its own: it loses biases.
NO_REFIT = (11, 3)
#: Turing; the older ones were dropped with 10.5.
_LEAST_CAPABILITY = (7, 5)
_CUDA_ERROR = re.compile(r"CUDA initialization failure with error: (\d+)")
_CUDA_HINTS = {
    "35": "update the NVIDIA driver: this TensorRT needs a newer one",
    "100": "no NVIDIA GPU is visible: look at nvidia-smi and CUDA_VISIBLE_DEVICES",
}
_WRITERS = ("onnx", "onnxscript")

Find = Callable[[], Library]


def availability(find: Find, device: str) -> Availability:
    """Tell whether networks can be built and run on a device; never raises."""
    kind = device.partition(":")[0]
    try:
        library = find()
    # The last two: an empty folder called tensorrt, and libraries of another version.
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        if kind != "cuda":
            return _elsewhere("cuda", device)
        return _no(*_not_imported(error))
    if kind != library.device:
        return _elsewhere(library.device, device)
    lack = _lack(library, device)
    reason, hint = lack or ("", "")
    return Availability(ok=lack is None, reason=reason, hint=hint, versions=library.versions)


def numbers(version: str) -> tuple[int, ...]:
    """Return the first two parts of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def check_refit(library: Library, role: str) -> None:
    """Raise BuildError where this TensorRT is not to be trusted with exchanged weights."""
    if numbers(library.version) == NO_REFIT:
        raise BuildError(
            f"{role}: tensorrt {library.version} may lose biases of networks whose weights are"
            f" exchanged: install another version, {INSTALL}; or run without LoRAs"
        )


def started(make: Callable[[], object], library: Library, what: str) -> object:
    """Return a Builder or a Runtime; EngineError with what TensorRT logged, where it makes none."""
    mark = library.log.mark
    try:
        return make()
    except (TypeError, RuntimeError) as error:  # the former: its factory returned nothing
        said = library.log.since(mark)
        raise EngineError(f"tensorrt makes no {what}: {said}") from error


def _lack(library: Library, device: str) -> tuple[str, str] | None:
    """Return what is missing, and what mends it; None where all is there."""
    found = numbers(library.version)
    if not LEAST <= found < BELOW:
        least, below = (".".join(map(str, each)) for each in (LEAST, BELOW))
        return f"tensorrt {library.version} is not in {least} up to {below}", INSTALL
    missing = [name for name in _WRITERS if not _is_there(name)]
    if missing:
        return f"{', '.join(missing)} not installed", " ".join(["pip install", *missing])
    if library.device == "cuda" and torch.version.hip is not None:
        return "this is an AMD GPU", "use --backend inductor"
    try:
        placed = torch.device(device)
        torch.empty(1, device=placed)
        gpu = library.gpu(placed)
        with library.on(placed):
            started(lambda: library.trt.Runtime(library.log.sink), library, "Runtime")
    except EngineError as error:
        number = _CUDA_ERROR.search(str(error))
        fallback = "look at nvidia-smi: the driver may be too old, or the GPU in use"
        return str(error), _CUDA_HINTS.get(number[1] if number else "", fallback)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        hint = "use --device cpu, or install a torch built for this device"
        return str(error).splitlines()[0], hint
    if gpu.capability < _LEAST_CAPABILITY:
        return f"{gpu.name} is older than what TensorRT compiles for", "use --backend torch"
    return None


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # somebody keeps it from being imported
        return False


def _not_imported(error: Exception) -> tuple[str, str]:
    if isinstance(error, ModuleNotFoundError) and error.name == "tensorrt":
        return "tensorrt is not installed", INSTALL
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"tensorrt is installed, its libraries are not: {reason}", INSTALL


def _elsewhere(kind: str, device: str) -> Availability:
    return _no(f"runs on {kind}, not on {device}", f"use --device {kind}, or --backend torch")


def _no(reason: str, hint: str) -> Availability:
    return Availability(ok=False, reason=reason, hint=hint)
