"""A call over fixed tensors as one CUDA graph: recorded once, then replayed in a single launch.

A graph holds addresses, not values. So what is called reads and writes tensors that stay where
they are, waits for nothing on the CPU, and has no effect besides; it may run several times before
its first replay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

logger = logging.getLogger(__name__)

Call = Callable[[], None]
# Kernels are loaded, algorithms chosen and memory is taken in the first of these.
_WARM_UPS = 3


@runtime_checkable
class Capturable(Protocol):
    """A backend whose bindings run on the current stream and wait for nothing."""

    def captures_on(self, device: str) -> bool:
        """Tell whether a run of its bindings may be part of a graph on this device."""


class Recorder(Protocol):
    """What makes a graph of a call."""

    def __call__(self, call: Call) -> Call:
        """Return the replay of a call, or raise RuntimeError where it cannot be recorded."""


class CudaRecorder:
    """Records with CUDA; all graphs of one recorder share the memory between their tensors.

    So only one of them may be replayed at a time, and what a replay leaves in tensors that were
    made during the recording is good until the replay of another.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, call: Call) -> Call:
        with torch.cuda.device(self.device):
            self._warm_up(call)
            graph = torch.cuda.CUDAGraph()
            # Other threads may compile and copy meanwhile: "thread_local" leaves them alone.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                call()
        return graph.replay

    def _warm_up(self, call: Call) -> None:
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                call()
        current.wait_stream(self._stream)


class Graph:
    """A call that is replayed where it can be recorded, and called where it cannot.

    reason: why it is not recorded, "" where it is or has not run yet. failures: how often recording
    it failed.
    """

    def __init__(self, call: Call, recorder: Recorder | None) -> None:
        """recorder: None where there is nothing to record with, as on a CPU."""
        self.reason = "" if recorder else "there is no CUDA here"
        self.failures = 0
        self._call = call
        self._recorder = recorder
        self._replay: Call | None = None
        self._is_stale = recorder is not None

    @property
    def is_captured(self) -> bool:
        """Whether the next run is a replay."""
        return self._replay is not None and not self._is_stale

    def run(self) -> None:
        """Do what the call does; the first time, and after `invalidate`, record it before."""
        if self._is_stale:
            self._record()
        (self._replay or self._call)()

    def invalidate(self) -> None:
        """Have the next run record anew: an address, a shape or a kernel is another now."""
        self._replay = None
        self._is_stale = self._recorder is not None

    def _record(self) -> None:
        assert self._recorder is not None  # else it is never stale
        self._is_stale, self._replay, self.reason = False, None, ""
        try:
            self._replay = self._recorder(self._call)
        except RuntimeError as error:
            self.failures += 1
            self.reason = str(error).partition("\n")[0]
            logger.warning("runs without a CUDA graph, which could not be made: %s", self.reason)


def recorder_for(device: torch.device) -> Recorder | None:
    """Return what records on a device; None where nothing does."""
    return CudaRecorder(device) if device.type == "cuda" else None
