"""When a call is recorded, replayed and called. A recorder written by hand stands for CUDA; what
CUDA itself does is asked by tests/gpu."""

from __future__ import annotations

import pytest
import torch

from engines.backends.inductor import InductorBackend
from engines.backends.torch import TorchBackend
from engines.graphs import Call, Capturable, Graph, recorder_for
from engines.protocol import BackendOptions


class Tape:
    """Counts; its replays double a tensor as the call does, so that both can be told apart."""

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble
        self.recorded = 0
        self.replayed = 0

    def __call__(self, call: Call) -> Call:
        self.recorded += 1
        if self.trouble:
            raise RuntimeError(f"{self.trouble}\nand a long trace")

        def replay() -> None:
            self.replayed += 1
            call()

        return replay


class Doubling:
    def __init__(self) -> None:
        self.calls = 0
        self.given = torch.ones(3)
        self.made = torch.zeros(3)

    def __call__(self) -> None:
        self.calls += 1
        torch.mul(self.given, 2, out=self.made)


def test_without_cuda_it_just_calls() -> None:
    doubling = Doubling()
    graph = Graph(doubling, recorder_for(torch.device("cpu")))

    graph.run()
    graph.run()

    assert (doubling.calls, graph.is_captured, graph.failures) == (2, False, 0)
    assert graph.reason == "there is no CUDA here"
    assert torch.equal(doubling.made, torch.full((3,), 2.0))


def test_it_is_recorded_once_and_replayed_ever_after() -> None:
    tape, doubling = Tape(), Doubling()
    graph = Graph(doubling, tape)
    assert not graph.is_captured

    for given in (1.0, 5.0):
        doubling.given.fill_(given)
        graph.run()
        assert torch.equal(doubling.made, torch.full((3,), 2 * given))

    assert (tape.recorded, tape.replayed, graph.is_captured) == (1, 2, True)
    assert graph.reason == ""


def test_what_is_invalid_is_recorded_anew() -> None:
    tape = Tape()
    graph = Graph(Doubling(), tape)
    graph.run()

    graph.invalidate()

    assert not graph.is_captured
    graph.run()
    assert (tape.recorded, tape.replayed, graph.is_captured) == (2, 2, True)


def test_what_cannot_be_recorded_is_called_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    tape, doubling = Tape("operation not permitted when stream is capturing"), Doubling()
    graph = Graph(doubling, tape)

    graph.run()
    graph.run()

    assert (tape.recorded, doubling.calls, graph.is_captured, graph.failures) == (1, 2, False, 1)
    assert graph.reason == "operation not permitted when stream is capturing"
    assert len(caplog.records) == 1

    tape.trouble = ""
    graph.invalidate()
    graph.run()
    assert (graph.is_captured, graph.failures, graph.reason) == (True, 1, "")


def test_inductor_may_be_recorded_on_cuda_and_plain_torch_is_left_alone() -> None:
    inductor = InductorBackend(BackendOptions())

    assert isinstance(inductor, Capturable)
    assert (inductor.captures_on("cuda:0"), inductor.captures_on("cpu")) == (True, False)
    assert not isinstance(TorchBackend(BackendOptions()), Capturable)
