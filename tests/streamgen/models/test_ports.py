from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from streamgen.models.ports import Port, Ports, parts_of


class Later:
    """An executor that works when it is told to."""

    def __init__(self):
        self.asked = []

    def submit(self, work, *args):
        self.asked.append((work, args))
        return Future()

    def work(self):
        for work, args in self.asked:
            work(*args)


def doubled(role, size):
    """A port that doubles numbers."""
    inputs = {"x": torch.zeros(size, 2)}
    outputs = {"y": torch.zeros(size, 2)}
    binding = SimpleNamespace(outputs=outputs, run=lambda: outputs["y"].copy_(inputs["x"] * 2))
    return Port(inputs=inputs, binding=binding)


@pytest.mark.parametrize(
    ("batch", "sizes", "parts"),
    [
        (1, (), [1]),
        (7, (), [7]),
        (7, (1, 2, 4), [4, 2, 1]),
        (9, (1, 4), [4, 4, 1]),
        (2, (1,), [1, 1]),
    ],
)
def test_a_batch_is_drawn_in_sizes_that_the_backend_has_without_padding(batch, sizes, parts):
    assert parts_of(batch, sizes) == parts


def test_a_size_that_is_missing_is_compiled_elsewhere_while_smaller_ones_serve():
    later = Later()
    ports = Ports(doubled, (1, 2, 4), executor=later)
    ports.prepare("net", 1)
    x = torch.arange(10.0).reshape(5, 2)
    assert torch.equal(ports.run("net", x=x), x * 2)
    assert torch.equal(ports.run("net", x=x), x * 2)
    assert ports.ready == {("net", 1)}
    assert [args for _, args in later.asked] == [("net", 4)]
    later.work()
    assert ports.ready == {("net", 1), ("net", 4)}
    assert torch.equal(ports.run("net", x=x), x * 2)


def test_without_an_executor_the_caller_waits():
    ports = Ports(doubled, (1, 2))
    ports.run("net", x=torch.zeros(3, 2))
    assert ports.ready == {("net", 1), ("net", 2)}


def test_a_size_that_cannot_be_compiled_leaves_the_stream_with_what_there_is():
    def only_one(role, size):
        if size > 1:
            raise RuntimeError("no memory")
        return doubled(role, size)

    later = Later()
    ports = Ports(only_one, (1, 2), executor=later)
    ports.prepare("net", 1)
    x = torch.ones(2, 2)
    ports.run("net", x=x)
    later.work()
    assert torch.equal(ports.run("net", x=x), x * 2)
    assert len(later.asked) == 1


def test_what_is_closed_is_given_back_and_so_is_what_comes_later():
    released = []

    def made(role, size):
        port = doubled(role, size)
        release = partial(released.append, (role, size))
        return Port(inputs=port.inputs, binding=port.binding, release=release)

    later = Later()
    ports = Ports(made, (1, 2), executor=later)
    ports.prepare("net", 1)
    ports.run("net", x=torch.ones(2, 2))
    ports.close()
    later.work()
    assert released == [("net", 1), ("net", 2)] and ports.ready == frozenset()


def halved(role, size):
    """A port that halves numbers and adds to them what it shares with the others."""
    inputs = {"x": torch.zeros(size), "shared": SHARED}
    outputs = {"half": torch.zeros(size), "sum": torch.zeros(size)}

    def run():
        outputs["half"].copy_(inputs["x"] / 2)
        outputs["sum"].copy_(inputs["x"] + inputs["shared"])

    return Port(inputs=inputs, binding=SimpleNamespace(outputs=outputs, run=run))


SHARED = torch.tensor(10.0)


def test_a_network_may_give_several_outputs_in_parts_as_well():
    ports = Ports(halved, (1, 2))
    x = torch.arange(5.0)
    made = ports.run_all("net", x=x)
    assert torch.equal(made["half"], x / 2) and torch.equal(made["sum"], x + 10)
    assert torch.equal(ports.run("net", x=x), x / 2)


def test_what_is_asked_for_is_there_once_it_is_compiled_elsewhere():
    later = Later()
    ports = Ports(doubled, (1, 2), executor=later)
    assert not ports.is_there("net") and not ports.is_there("net")
    assert [args for _, args in later.asked] == [("net", 1)]
    later.work()
    assert ports.is_there("net")
    assert Ports(doubled, (1, 2)).is_there("net")  # whoever runs it compiles it
