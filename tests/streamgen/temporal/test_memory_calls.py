"""Batches in which rows have memory of different kinds: who is asked for with whom, and when."""

import pytest
import torch

from streamgen.control_schema import controls_from
from streamgen.errors import ConfigError
from streamgen.temporal.memory_calls import answer_of
from streamgen.temporal.moment import Moment
from streamgen.temporal.reading import Leases, Reading
from streamgen.temporal.slots import Slots

BOTH, BANK, MOTION = {"bank", "motion"}, {"bank"}, {"motion"}


class Book:
    """A bank that writes down which rows it was told of and in what order it kept them."""

    def __init__(self, slots=8):
        self._slots = Slots(slots, of="book")
        self.kept = []

    def lease(self, reading):
        return self._slots.lease(reading)

    def told(self, leases, moments):
        return {}

    def keep(self, leases, moments, made):
        self.kept += [moment.number for moment in moments]


class Net:
    """Networks of some sets of kinds; answers with how many kinds there were."""

    def __init__(self, *there, bank=8, motion=8):
        self.there = [frozenset(kinds) for kinds in there]
        self.books = {"bank": Book(bank), "motion": Book(motion)}
        self.calls = []

    @property
    def memory(self):
        return self

    def banks(self, kinds):
        found = next((each for each in self.there if each <= kinds), frozenset())
        return {kind: self.books[kind] for kind in found}

    def unet(self, x, t, text, cond):
        self.calls.append((set(), x[:, 0, 0, 0].int().tolist()))
        return x * 0

    def __call__(self, kinds, *, x, t, text):
        self.calls.append((set(kinds), x[:, 0, 0, 0].int().tolist()))
        return {"answer": x * 0 + len(kinds)}


class Stream:
    """One stream's leases of both kinds."""

    def __init__(self):
        self.leases = {"bank": Leases(), "motion": Leases()}

    def asks(self, kinds, number=1):
        at = Moment(number=number, controls=controls_from({}), motion=None)
        return {
            kind: Reading(slots=self.leases[kind], key=(0, "prompt"), moment=at) for kind in kinds
        }


def ask(net, *readings):
    """Return how many kinds of memory each row was answered with."""
    count = len(readings)
    x = torch.arange(float(count)).view(-1, 1, 1, 1)
    text = torch.zeros(count, 1, 1)
    answer = answer_of(net, readings, x=x, t=torch.zeros(count), text=text, cond={})
    return answer.flatten().int().tolist()


def test_rows_of_the_same_kinds_are_asked_for_together():
    net = Net(BOTH, BANK, MOTION)
    kinds = [MOTION, set(), BOTH, BANK, MOTION, BOTH]
    assert ask(net, *(Stream().asks(each) for each in kinds)) == [1, 0, 2, 1, 1, 2]
    assert net.calls == [(set(), [1]), (MOTION, [0, 4]), (BOTH, [2, 5]), (BANK, [3])]


def test_rows_without_memory_are_one_call_of_the_plain_network():
    net = Net(BOTH)
    assert ask(net, {}, {}) == [0, 0]
    assert net.calls == [(set(), [0, 1])]


@pytest.mark.parametrize(
    ("there", "calls"),
    [
        ([], [(set(), [0, 1])]),
        ([MOTION], [(MOTION, [0, 1])]),
        ([BANK, MOTION], [(MOTION, [1]), (BANK, [0])]),
    ],
    ids=["none", "one of two", "each alone"],
)
def test_until_a_network_is_built_rows_go_with_those_that_are_there(there, calls):
    net = Net(*there)
    ask(net, Stream().asks(BOTH), Stream().asks(MOTION))
    assert sorted(net.calls, key=str) == sorted(calls, key=str)


def test_where_a_bank_has_no_slot_the_row_goes_with_the_other_kind():
    net, streams = Net(BOTH, BANK, MOTION, motion=1), [Stream(), Stream()]
    for number in (1, 2):
        assert ask(net, *(each.asks(BOTH, number) for each in streams)) == [2, 1]
    assert net.calls == [(BOTH, [0]), (BANK, [1])] * 2
    alone = Net(BOTH, MOTION, bank=1, motion=1)
    assert ask(alone, *(each.asks(BOTH) for each in streams)) == [2, 0]


def test_frames_of_one_stream_are_drawn_in_their_order_whatever_they_ask_for():
    net, stream, other = Net(BOTH, BANK, MOTION), Stream(), Stream()
    rows = [
        other.asks(MOTION, 7),
        stream.asks(BOTH, 1),
        stream.asks(MOTION, 2),
        stream.asks(BOTH, 3),
    ]
    assert ask(net, *rows) == [1, 2, 1, 2]
    assert net.books["motion"].kept == [7, 1, 2, 3] and net.books["bank"].kept == [1, 3]


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        (BANK, "bank_strength, bank_fusion above 0: .* no feature bank: give 0"),
        (MOTION, "motion_strength above 0: .* no motion modules: give 0"),
    ],
)
def test_a_model_without_memory_says_what_it_has_not(kinds, sentence):
    class Plain:
        def unet(self, x, t, text, cond):
            return x

    with pytest.raises(ConfigError, match=sentence):
        ask(Plain(), Stream().asks(kinds))
