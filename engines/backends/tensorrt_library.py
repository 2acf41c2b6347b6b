"""TensorRT as a library: what is asked of it and of CUDA beside it, and what it logs."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any  # TensorRT's bindings carry no types: its objects are Any here

import torch

logger = logging.getLogger(__name__)

_KEPT_LINES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What kernels are chosen for."""

    name: str
    capability: tuple[int, int]
    processors: int


class Log:
    """What TensorRT has said, newest last; `sink` is the object that it says it to."""

    def __init__(self, trt: Any) -> None:
        severity = trt.ILogger.Severity
        # Its errors are raised by who asked; they are no news in the log of a program.
        levels = {
            severity.INTERNAL_ERROR: logging.WARNING,
            severity.ERROR: logging.WARNING,
            severity.WARNING: logging.WARNING,
            severity.INFO: logging.DEBUG,
        }
        self._errors = (severity.INTERNAL_ERROR, severity.ERROR)
        self._lines: deque[tuple[int, bool, str]] = deque(maxlen=_KEPT_LINES)
        self._count = 0
        self.sink = _sink(trt, self._hear, levels)

    @property
    def mark(self) -> int:
        """A place in what was said, for `since`."""
        return self._count

    def since(self, mark: int) -> str:
        """Return the errors since a mark, or all that was said where none was an error."""
        heard = [(bad, line) for number, bad, line in tuple(self._lines) if number > mark]
        errors = [line for bad, line in heard if bad]
        return "; ".join(errors or [line for _, line in heard]) or "it did not say why"

    def _hear(self, severity: Any, line: str, level: int) -> None:
        logger.log(level, "tensorrt: %s", line)
        if level >= logging.WARNING:
            self._count += 1
            self._lines.append((self._count, severity in self._errors, line))


class Library:
    """The imported module and its versions, and what it needs to know of the streams of a device.

    device: kind of device that tensors lie on. stream: handle of the current stream there.
    synchronize: wait for the current stream. gpu: what engines are built for.
    """

    def __init__(
        self,
        trt: Any,
        versions: Mapping[str, str],
        *,
        device: str = "cuda",
        stream: Callable[[torch.device], int] | None = None,
        synchronize: Callable[[torch.device], None] | None = None,
        gpu: Callable[[torch.device], Gpu] | None = None,
    ) -> None:
        self.trt = trt
        self.versions = dict(versions)
        self.device = device
        self.stream = stream or _current_stream
        self.synchronize = synchronize or _synchronize
        self.gpu = gpu or _gpu
        self.log = Log(trt)

    @property
    def version(self) -> str:
        """All four parts: engines of another build are no good."""
        return self.versions["tensorrt"]

    def on(self, device: torch.device) -> AbstractContextManager[object]:
        """Make a device the one that TensorRT's objects are made for."""
        return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

    @contextmanager
    def ordered(self, device: torch.device, aside: Any) -> Iterator[int]:
        """Give a stream for work that comes after what is on the current one, and before the rest.

        That is the current stream itself, or `aside`, a torch stream, where that is CUDA's default:
        there TensorRT would wait for the whole device, which no recorded graph allows.
        """
        handle = self.stream(device)
        if handle or aside is None:
            yield handle
            return
        current = torch.cuda.current_stream(device)
        aside.wait_stream(current)
        try:
            yield aside.cuda_stream
        finally:
            current.wait_stream(aside)


@cache
def find_library() -> Library:
    """Import TensorRT once for this process, which has one logger; ImportError, OSError without it.

    Only its bindings may be there, and not the libraries that they need: OSError, too.
    """
    trt: Any = import_module("tensorrt")
    versions = {"tensorrt": str(trt.__version__), "torch": str(torch.__version__)}
    for name in ("onnx", "onnxscript"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return Library(trt, versions | {"cuda": str(torch.version.cuda)})


def _current_stream(device: torch.device) -> int:
    handle: int = torch.cuda.current_stream(device).cuda_stream
    return handle


def _synchronize(device: torch.device) -> None:
    torch.cuda.current_stream(device).synchronize()


def _gpu(device: torch.device) -> Gpu:
    found = torch.cuda.get_device_properties(device)
    capability = (found.major, found.minor)
    return Gpu(name=found.name, capability=capability, processors=found.multi_processor_count)


def _sink(trt: Any, hear: Callable[[Any, str, int], None], levels: Mapping[Any, int]) -> Any:
    # The base class is known only once TensorRT is imported.
    class Sink(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # its bindings ask for this very form

        def log(self, severity: Any, msg: str) -> None:
            if severity in levels:  # all but what is meant for the people who make it
                hear(severity, msg, levels[severity])

    return Sink()
