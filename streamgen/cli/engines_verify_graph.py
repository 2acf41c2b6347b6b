"""Replays the networks of a frame as one graph and compares that with running them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from benchmarks.gpu.peak import wait
from engines.graphs import Capturable, Graph, Recorder
from engines.protocol import Binding, CompiledModule
from engines.store import NetworkStore
from engines.verify import sample_inputs
from streamgen.cli.engines_verify_checks import FAILED, PASSED, Check, NotRun, Subject, Verdict

NAME = "graph"
_SEED = 3
_TIMES = 50
_DIGITS = 3


class Frame:
    """The networks of a frame for one picture, bound, one after the other; not fed by each other.

    What they compute matters to nobody, but that a replay of all of them computes the same.
    """

    def __init__(self, compiled: Mapping[str, CompiledModule], device: str) -> None:
        self.device = device
        self.inputs: dict[str, dict[str, Tensor]] = {}
        self.bindings: dict[str, Binding] = {}
        for role, each in compiled.items():
            drawn = sample_inputs(each.spec, seed=0)
            self.inputs[role] = {name: value.to(device) for name, value in drawn.items()}
            self.bindings[role] = each.bind(self.inputs[role])

    @torch.inference_mode()
    def run(self) -> None:
        """Run all of them, on the current stream."""
        for binding in self.bindings.values():
            binding.run()

    def feed(self, compiled: Mapping[str, CompiledModule], seed: int) -> None:
        """Put other values where the bindings read."""
        for role, each in compiled.items():
            for name, value in sample_inputs(each.spec, seed=seed).items():
                self.inputs[role][name].copy_(value)

    def made(self) -> list[Tensor]:
        """Return copies of all outputs."""
        wait(self.device)
        return [out.clone() for each in self.bindings.values() for out in each.outputs.values()]


def replay(
    subject: Subject,
    recorder: Callable[[torch.device], Recorder | None],
    *,
    now_ns: Callable[[], int] = time.perf_counter_ns,
) -> Check:
    """Record a frame, feed it other values, and compare the replay with a run, bit for bit.

    recorder: returns what records on a device.
    """
    backend, device = subject.engines.choice.backend, subject.engines.choice.device
    if not isinstance(backend, Capturable) or not backend.captures_on(device):
        raise NotRun(f"{backend.name} on {device} runs without graphs", is_needed=False)
    compiled = _compiled(subject)
    try:
        frame = Frame(compiled, device)
        graph = Graph(frame.run, recorder(subject.engines.device))
        graph.run()  # records it
        if not graph.is_captured:
            said = f"it could not be recorded: {graph.reason}"
            return Check(name=NAME, verdict=FAILED, said=said)
        frame.feed(compiled, _SEED)
        frame.run()
        wanted = frame.made()
        for out in (out for each in frame.bindings.values() for out in each.outputs.values()):
            out.zero_()  # what a replay leaves out must not look as if it were there
        graph.run()
        is_same = all(map(torch.equal, frame.made(), wanted))
        return _judged(is_same, _times(frame, graph, now_ns))
    finally:
        for each in compiled.values():
            each.close()


def _judged(is_same: bool, facts: dict[str, object]) -> Check:
    told = (
        f"{facts['graph_ms']} ms as one graph, {facts['eager_ms']} ms without"
        f" ({facts['ratio']} times as fast; all networks, median of {_TIMES})"
    )
    words = "equal bit for bit" if is_same else "a replay computes something else"
    verdict: Verdict = PASSED if is_same else FAILED
    return Check(name=NAME, verdict=verdict, said=f"{words}; {told}", facts=facts)


def _compiled(subject: Subject) -> dict[str, CompiledModule]:
    """Return the networks for one picture, which are in the cache by now."""
    networks, backend = subject.engines.networks, subject.engines.choice.backend
    store = NetworkStore(
        backend=backend,
        cache=networks.cache,
        device=networks.device,
        builder=subject.builder,
    )
    least = min(each.batch for each in subject.networks)
    return {
        each.role: store.compile(
            each.spec, each.module, limits=each.limits, calibration=each.calibration
        )
        for each in subject.networks
        if each.batch == least
    }


def _times(frame: Frame, graph: Graph, now_ns: Callable[[], int]) -> dict[str, object]:
    """Time both in turns, each time until the device has done it."""
    laps: dict[str, list[int]] = {"eager_ms": [], "graph_ms": []}
    for _ in range(_TIMES):
        for name, run in (("eager_ms", frame.run), ("graph_ms", graph.run)):
            began = now_ns()
            run()
            wait(frame.device)
            laps[name].append(now_ns() - began)
    medians = {name: statistics.median(each) / 1e6 for name, each in laps.items()}
    ratio = medians["eager_ms"] / medians["graph_ms"] if medians["graph_ms"] else None
    told = {name: round(each, _DIGITS) for name, each in medians.items()}
    return {**told, "ratio": None if ratio is None else round(ratio, _DIGITS)}
